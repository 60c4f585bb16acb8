from __future__ import annotations

import pytest

from core.errors import UserError
from core.preprocessing.leads import choose_leads

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (TWELVE, "I"),
        (("V5", "MLII"), "MLII"),
        (("II", "MLII"), "MLII"),
        (("V1", "II"), "II"),
        (("V5", "V1"), "V5"),
        (("i", "II"), "i"),
        (("ABP", "RESP", "V2"), "V2"),
        (("Pleth", "SpO2", "II", "I"), "I"),
    ],
)
def test_one_lead_by_default(names, chosen):
    assert [names[i] for i in choose_leads(names, None)] == [chosen]


def test_a_channel_in_another_unit_is_no_ecg_lead():
    assert choose_leads(("I", "x", "V1"), "all", units=("mmHg", "unknown", "mV")) == [1, 2]
    assert choose_leads(("I", "x"), None, units=("mmHg", "unknown")) == [1]


def test_names_give_those_leads_in_the_order_wanted():
    assert choose_leads(TWELVE, ("V6", "avr", "ECG I")) == [11, 3, 0]
    assert choose_leads(("ABP", "I"), ("ABP",), units=("mmHg", "mV")) == [0]


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"no lead 'MLI'.*Did you mean 'MLII'"):
        choose_leads(("MLII", "V5"), ("MLI",))


@pytest.mark.parametrize(
    ("names", "wanted", "fault"),
    [
        (("ABP", "RESP"), None, "no ECG lead among ABP, RESP"),
        (("ABP",), "all", "no ECG lead"),
        (("I", "II"), ("I", "I"), "'I' twice"),
        (("I", "II"), (), "names no lead"),
        ((), None, "no ECG lead among no channels"),
    ],
)
def test_what_cannot_be_chosen_is_refused(names, wanted, fault):
    with pytest.raises(UserError, match=fault):
        choose_leads(names, wanted)
