// A recording -> ECG paper on a canvas: true scale, beats, calipers; detail comes by "ecg-paper".

const PX_PER_MM = 96 / 25.4
const SPEEDS = [12.5, 25, 50]
const GAINS = [5, 10, 20]
const MOST_SPEED = 400
const PULSE_MV = 1
const PULSE_S = 0.2
const GRID_MM = 250 // of a print of 3x4: ten seconds at 25 mm/s
const GRID_ROW_MM = 28
const STACK_ROW_MM = 22
const LEAST_ROW_MM = 30
const MOST_ROW_MM = 80
const AXIS_PX = 20
const LINE_PX = 19
const OVERVIEW_PX = 44
const LEAST_GRID_PX = 3 // finer than this, a grid is a grey area
const ASK_EVERY_MS = 60
const TOLD_AFTER_MS = 60
const LOST_AFTER_MS = 3000
const MISSING = -32768
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400]

const papers = new WeakMap()

export default function ({ data, parentElement }) {
  let paper = papers.get(parentElement)
  if (!paper) papers.set(parentElement, (paper = new Paper(parentElement)))
  paper.show(data)
  return () => {
    paper.close()
    papers.delete(parentElement)
  }
}

// --- views from the server ---------------------------------------------------------------------

function decode(bytes) {
  const copy = bytes.slice().buffer
  const length = new DataView(copy).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(copy, 4, length)))
  const from = 4 + length
  head.bytes = bytes.length
  head.series = head.series.map(([kind, lead, first, step, per, scale, zero, place, count]) => ({
    kind, lead, first, step, per, scale, zero,
    values: new Int16Array(copy, from + place, count),
    end: first + (count / per) * step,
  }))
  head.beats = decodeBeats(copy, from, head.beats)
  return head
}

function decodeBeats(buffer, from, [step, first, keptAt, kept, refusedAt, refused]) {
  const read = (place, count) => {
    if (!step) return Array.from(new Float32Array(buffer, from + place, count), s => first + s)
    const bits = new Uint8Array(buffer, from + place, Math.ceil(count / 8))
    const times = []
    for (let i = 0; i < count; i++) if (bits[i >> 3] & (1 << (i & 7))) times.push(first + (i + 0.5) * step)
    return times
  }
  return { exact: !step, kept: read(keptAt, kept), refused: read(refusedAt, refused) }
}

function decodeOverview(told) {
  const raw = Uint8Array.from(atob(told.values), c => c.charCodeAt(0))
  const values = new Int16Array(raw.buffer)
  return { ...told, values, end: told.first + (values.length / told.per) * told.step }
}

const timeOf = (series, i) =>
  series.per === 1
    ? series.first + i * series.step
    : series.first + ((i >> 1) + (i & 1 ? 0.75 : 0.25)) * series.step

// --- words -------------------------------------------------------------------------------------

function clock(seconds, step) {
  const digits = step < 1 ? 1 : 0
  const s = Number(seconds.toFixed(digits))
  if (s < 60 && step < 60) return `${s.toFixed(digits)} s`
  const pad = n => String(n).padStart(2, "0")
  const h = Math.floor(s / 3600)
  const m = Math.floor(s / 60) % 60
  const rest = digits ? (s % 60).toFixed(1).padStart(4, "0") : pad(Math.floor(s % 60))
  return h ? `${h}:${pad(m)}:${rest}` : `${m}:${rest}`
}

const short = x => String(Number(x.toPrecision(x < 10 ? 2 : 3)))

// --- drawing -----------------------------------------------------------------------------------

function paletteOf(element) {
  const style = getComputedStyle(element)
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true })
  const background = style.getPropertyValue("--st-background-color") || "#fff"
  probe.fillStyle = background
  probe.fillRect(0, 0, 1, 1)
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data
  const dark = 0.3 * r + 0.6 * g + 0.1 * b < 110
  const shared = {
    ink: style.getPropertyValue("--st-text-color") || "#000",
    accent: style.getPropertyValue("--st-primary-color") || "#00609a",
    font: style.fontFamily,
  }
  return dark
    ? { ...shared, paper: "#16161a", fine: "#37232a", bold: "#643a42", faint: "#5b6570" }
    : { ...shared, paper: "#fffcfa", fine: "#f8dcd8", bold: "#e9aaa4", faint: "#b9b4b0" }
}

// Lines as wide as a device pixel, on whole device pixels: sharp at any ratio.
function upright(pen, x, y0, y1, width = 1) {
  const d = pen.ratio
  const w = Math.max(1, Math.round(width * d))
  pen.fillRect((Math.round(x * d) - (w >> 1)) / d, y0, w / d, y1 - y0)
}

function level(pen, y, x0, x1, width = 1) {
  const d = pen.ratio
  const w = Math.max(1, Math.round(width * d))
  pen.fillRect(x0, (Math.round(y * d) - (w >> 1)) / d, x1 - x0, w / d)
}

function drawGrid(pen, colours, box, scale, start) {
  pen.fillStyle = colours.paper
  pen.fillRect(box.x0, box.top, box.x1 - box.x0, box.bottom - box.top)
  const squareS = scale.paced ? 1 / scale.speed : 0.04
  const levels = [
    [squareS, colours.fine],
    [5 * squareS, colours.bold],
  ]
  const wide = seconds => seconds * scale.pxPerS >= LEAST_GRID_PX
  for (const [step, colour] of levels) {
    pen.fillStyle = colour
    if (wide(step) && (colour === colours.fine || wide(step / 2))) {
      const t0 = start - (box.left - box.x0) / scale.pxPerS
      for (let i = Math.ceil(t0 / step); ; i++) {
        const x = box.left + (i * step - start) * scale.pxPerS
        if (x > box.x1) break
        upright(pen, x, box.top, box.bottom)
      }
    }
    else if (colour === colours.bold) drawTicks(pen, colours, box, scale, start)
    const mm = colour === colours.fine ? 1 : 5
    if (scale.calibrated && (mm === 5 || wide(squareS)))
      for (let y = 0; box.top + y <= box.bottom; y += mm * PX_PER_MM)
        level(pen, box.top + y, box.x0, box.x1)
  }
}

const axisStep = scale => STEPS_S.find(s => s * scale.pxPerS >= 64) ?? STEPS_S.at(-1)

// Where squares would be too small: a line at each label of the axis.
function drawTicks(pen, colours, box, scale, start) {
  const step = axisStep(scale)
  pen.fillStyle = colours.fine
  for (let i = Math.ceil(start / step); ; i++) {
    const x = box.left + (i * step - start) * scale.pxPerS
    if (x > box.x1) break
    upright(pen, x, box.top, box.bottom)
  }
}

function drawAxis(pen, colours, box, scale, start, height) {
  const step = axisStep(scale)
  pen.fillStyle = colours.ink
  pen.textAlign = "center"
  for (let i = Math.ceil(start / step - 1e-6); ; i++) {
    const x = box.left + (i * step - start) * scale.pxPerS
    if (x > box.x1 - 14) break
    upright(pen, x, box.bottom, box.bottom + 4)
    pen.fillText(clock(i * step, step), Math.max(x, 20), height - 4)
  }
  pen.textAlign = "left"
}

function drawPulse(pen, colours, scale, y) {
  const width = PULSE_S * scale.pxPerS
  const foot = 1.5 * PX_PER_MM
  const up = y - PULSE_MV * scale.pxPerUnit
  pen.fillStyle = colours.ink
  if (width < 4) {
    upright(pen, 2 * foot, up, y, 1.5)
    return
  }
  level(pen, y, foot, 2 * foot, 1.5)
  upright(pen, 2 * foot, up, y, 1.5)
  level(pen, up, 2 * foot, 2 * foot + width, 1.5)
  upright(pen, 2 * foot + width, up, y, 1.5)
  level(pen, y, 2 * foot + width, 3 * foot + width, 1.5)
}

function drawSeries(pen, series, cell, scale, zero) {
  const { values, per, step } = series
  const at = t => Math.floor((t - series.first) / step) * per
  const last = Math.min(values.length, at(cell.t1) + 2 * per)
  pen.beginPath()
  let down = false
  for (let i = Math.max(0, at(cell.t0) - per); i < last; i++) {
    if (values[i] === MISSING) {
      down = false
      continue
    }
    const x = cell.x0 + (timeOf(series, i) - cell.t0) * scale.pxPerS
    const y = cell.y - (values[i] * series.scale + series.zero - zero) * scale.pxPerUnit
    if (down) pen.lineTo(x, y)
    else pen.moveTo(x, y)
    down = true
  }
  pen.stroke()
}

function drawBeats(pen, colours, cell, beats, scale, withRR) {
  const x = t => cell.x0 + (t - cell.t0) * scale.pxPerS
  const inside = t => t >= cell.t0 && t <= cell.t1
  const y = cell.top + 5
  pen.strokeStyle = pen.fillStyle = colours.ink
  pen.lineWidth = 1.3
  for (const t of beats.kept.filter(inside)) {
    pen.beginPath()
    if (beats.exact) {
      pen.moveTo(x(t) - 4, y - 3)
      pen.lineTo(x(t) + 4, y - 3)
      pen.lineTo(x(t), y + 4)
      pen.fill()
    } else upright(pen, x(t), y - 3, y + 2)
  }
  for (const t of beats.refused.filter(inside)) {
    if (!beats.exact) {
      upright(pen, x(t), y + 4, y + 9)
      continue
    }
    pen.beginPath()
    for (const side of [-1, 1]) {
      pen.moveTo(x(t) - 4, y - 4 * side)
      pen.lineTo(x(t) + 4, y + 4 * side)
    }
    pen.stroke()
  }
  if (!withRR || !beats.exact) return
  const all = [...beats.kept.map(t => [t, true]), ...beats.refused.map(t => [t, false])]
  all.sort((a, b) => a[0] - b[0])
  pen.textAlign = "center"
  for (let i = 1; i < all.length; i++) {
    const [[before, one], [after, other]] = [all[i - 1], all[i]]
    const rr = after - before
    const middle = (before + after) / 2
    if (one && other && inside(middle) && rr * scale.pxPerS > 44)
      pen.fillText(`${Math.round(rr * 1000)} ms`, x(middle), y + 5)
  }
  pen.textAlign = "left"
}

function drawCaliper(pen, colours, cell, caliper, scale, calibrated) {
  const x = t => cell.x0 + (t - cell.t0) * scale.pxPerS
  const y = v => cell.y - v * scale.pxPerUnit
  const [x0, x1] = [x(caliper.t0), x(caliper.t1)]
  const [y0, y1] = [y(caliper.v0), y(caliper.v1)]
  pen.fillStyle = colours.accent
  pen.globalAlpha = 0.12
  pen.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0))
  pen.globalAlpha = 1
  for (const one of [x0, x1]) upright(pen, one, cell.top, cell.bottom, 1)
  for (const one of [y0, y1]) level(pen, one, Math.min(x0, x1), Math.max(x0, x1), 1)
  label(pen, colours, caliperWords(caliper, calibrated), Math.min(x0, x1), Math.min(y0, y1) - 6)
}

function caliperWords(caliper, calibrated) {
  const seconds = Math.abs(caliper.t1 - caliper.t0)
  const words = [`${Math.round(seconds * 1000)} ms`]
  if (seconds > 0.15) words.push(`${Math.round(60 / seconds)}/min`)
  if (calibrated) words.push(`${Math.abs(caliper.v1 - caliper.v0).toFixed(2)} mV`)
  return words.join("  ")
}

function label(pen, colours, text, x, y) {
  const width = pen.measureText(text).width
  const at = Math.max(4, Math.min(x, pen.width - width - 8))
  const low = Math.max(14, y)
  pen.fillStyle = colours.paper
  pen.fillRect(at - 3, low - 12, width + 6, 16)
  pen.fillStyle = colours.ink
  pen.fillText(text, at, low)
}

// --- the viewer --------------------------------------------------------------------------------

class Paper {
  constructor(shadow) {
    this.root = shadow.querySelector(".root")
    this.find = selector => this.root.querySelector(selector)
    this.canvas = this.find(".trace")
    this.bar = this.find(".overview")
    this.line = globalThis[Symbol.for("ecg-paper")] ??= new EventTarget()
    this.speed = 25
    this.gain = 10
    this.layout = ""
    this.start = 0
    this.drawn = 0
    this.asked = 0
    this.jumps = 0
    this.calipers = []
    this.past = []
    this.pointers = new Map()
    this.measuring = false
    this.onView = () => this.receive()
    this.line.addEventListener("view", this.onView)
    this.resized = new ResizeObserver(() => this.changed())
    this.resized.observe(this.find(".scroll"))
    this.listen()
  }

  close() {
    this.resized.disconnect()
    this.line.removeEventListener("view", this.onView)
    clearTimeout(this.timer)
    clearTimeout(this.told)
    clearTimeout(this.lost)
  }

  // A recording was opened, or the theme changed.
  show(data) {
    const fresh = this.data?.token !== data.token
    this.data = data
    this.colours = paletteOf(this.root)
    this.overview = decodeOverview(data.overview)
    if (fresh) {
      this.block = null
      this.sent = ""
      this.start = data.start
      this.calipers = []
      this.past = []
      this.kinds ??= new Set(data.kinds.filter(k => k.shown).map(k => k.key))
      const layouts = data.layouts.map(l => l.key)
      if (!layouts.includes(this.layout)) this.layout = data.layouts[0].key
    }
    if (fresh) this.controls()
    this.receive()
    this.changed()
  }

  receive() {
    if (!this.line.last || !this.data) return
    const block = decode(this.line.last)
    if (block.token !== this.data.token) return
    if (this.block && block.id < this.block.id) return
    if (block.id >= this.asked) {
      this.waiting = false
      clearTimeout(this.lost)
    }
    this.block = block
    this.undrawn = true
    if (block.jumps > this.jumps) {
      this.start = block.start
      this.jumps = block.jumps
    }
    this.changed()
  }

  // --- scale ---

  get width() {
    if (this.layout === "standard") return Math.round(GRID_MM * PX_PER_MM + this.gutter)
    return Math.max(200, Math.floor(this.find(".scroll").clientWidth) - 6)
  }

  get gutter() {
    if (!this.data.calibrated) return 2 * PX_PER_MM
    return Math.max(4, 5.5) * PX_PER_MM + Math.min(PULSE_S * this.speed, 20) * PX_PER_MM
  }

  get scale() {
    const paced = SPEEDS.some(s => Math.abs(s - this.speed) < 1e-6)
    const [low, high] = this.data.heights[this.data.lead]
    const fit = (LEAST_ROW_MM * 0.8 * PX_PER_MM) / (high - low || 1)
    return {
      paced,
      speed: this.speed,
      calibrated: this.data.calibrated,
      pxPerS: this.speed * PX_PER_MM,
      pxPerUnit: this.data.calibrated ? this.gain * PX_PER_MM : (fit * this.gain) / 10,
    }
  }

  get rowSpan() {
    return (this.width - this.gutter) / this.scale.pxPerS
  }

  get span() {
    return this.rowSpan * (this.layout === "rows" ? 3 : 1)
  }

  get slowest() {
    const rows = this.layout === "rows" ? 3 : 1
    const whole = ((this.width - this.gutter) * rows) / (this.data.duration * PX_PER_MM)
    return Math.min(12.5, whole)
  }

  // Where each lead is drawn: a list of stretches of one lead, each with its own place and time.
  cells(above) {
    const { data, rowSpan: span, gutter, width } = this
    const top = above + this.headroom
    const cell = (lead, row, height, x0, x1, t0, t1) => ({
      lead, row, x0, x1, t0, t1,
      top: top + row * height,
      bottom: top + (row + 1) * height,
      y: top + (row + 0.5) * height + this.offset(lead, height),
    })
    if (this.layout === "standard") {
      const height = GRID_ROW_MM * PX_PER_MM
      const wide = (width - gutter) / 4
      const parts = data.standard.map((lead, i) => {
        const [column, row] = [Math.floor(i / 3), i % 3]
        const x0 = gutter + column * wide
        const t0 = this.start + (column * span) / 4
        return cell(lead, row, height, x0, x0 + wide, t0, t0 + span / 4)
      })
      return [...parts, cell(data.standard[1], 3, height, gutter, width, this.start, this.start + span)]
    }
    const stacked = this.layout === "all"
    const leads = stacked ? data.leads.map((_, i) => i) : [data.lead]
    const rows = this.layout === "rows" ? 3 : leads.length
    const height = (stacked && rows > 1 ? STACK_ROW_MM : this.rowMm) * PX_PER_MM
    return Array.from({ length: rows }, (_, i) => {
      const t0 = this.start + (this.layout === "rows" ? i * span : 0)
      return cell(leads[stacked ? i : 0], i, height, gutter, width, t0, t0 + span)
    })
  }

  // Above rows of several leads, for the highest of those on top.
  get headroom() {
    const { data, layout } = this
    if (layout !== "standard" && layout !== "all") return 0
    const first = layout === "all" ? [0] : [0, 3, 6, 9].map(i => data.standard[i])
    const high = Math.max(...first.map(lead => data.heights[lead][1])) * this.scale.pxPerUnit
    const row = (layout === "all" ? STACK_ROW_MM : GRID_ROW_MM) * PX_PER_MM
    return Math.max(0, Math.min(25 * PX_PER_MM, high - row * 0.55))
  }

  get rowMm() {
    const [low, high] = this.data.heights[this.data.lead]
    const tall = this.data.calibrated ? (high - low) * this.gain : 0
    return Math.ceil(Math.min(MOST_ROW_MM, Math.max(LEAST_ROW_MM, tall + 8)) / 5) * 5
  }

  // A single lead is put in the middle of its row by its extremes; rows of several by their zero.
  offset(lead, height) {
    if (this.layout === "all" || this.layout === "standard") return height * 0.1
    const [low, high] = this.data.heights[lead]
    const middle = ((low + high) / 2) * this.scale.pxPerUnit
    return Math.max(-height * 0.3, Math.min(height * 0.3, middle))
  }

  // --- what is asked of the server ---

  parts() {
    const merged = new Map()
    for (const { lead, t0, t1 } of this.cells(0)) {
      const known = merged.get(lead)
      merged.set(lead, [lead, Math.min(t0, known?.[1] ?? t0), Math.max(t1, known?.[2] ?? t1)])
    }
    return [...merged.values()]
  }

  covered(beside) {
    if (!this.block) return false
    const { duration } = this.data
    const fine = 1.3 / this.scale.pxPerS
    return this.parts().every(([lead, t0, t1]) => {
      const more = beside * (t1 - t0)
      return [...this.kinds].every(kind =>
        this.block.series.some(
          s =>
            s.lead === lead &&
            s.kind === kind &&
            (s.per === 1 || s.step <= fine) &&
            s.first <= Math.max(0, t0 - more) + s.step &&
            s.end >= Math.min(duration, t1 + more) - 2 * s.step,
        ),
      )
    })
  }

  wanted() {
    const { pxPerS } = this.scale
    return {
      token: this.data.token,
      start: this.start,
      px_per_s: pxPerS,
      kinds: [...this.kinds],
      parts: this.parts(),
      span: this.span,
    }
  }

  ask(force = false) {
    if (!this.line.ask || this.waiting) return
    const view = this.wanted()
    const same = JSON.stringify(view)
    if (same === this.sent || (!force && this.covered(0.25))) return
    this.sent = same
    this.asked = (this.block?.id ?? 0) + 1
    this.waiting = true
    clearTimeout(this.lost)
    this.lost = setTimeout(() => {
      this.waiting = false
      this.sent = ""
    }, LOST_AFTER_MS)
    this.line.ask({ ...view, id: this.asked })
  }

  // Something moved: redraw with what is there, ask for detail, at most every so many ms.
  changed() {
    if (!this.data) return
    this.clamp()
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = null
        this.draw()
      })
    }
    if (!this.timer) {
      this.ask()
      this.timer = setTimeout(() => {
        this.timer = null
        this.ask()
      }, ASK_EVERY_MS)
    }
    clearTimeout(this.told)
    this.told = setTimeout(() => this.tell(), TOLD_AFTER_MS)
  }

  // It stands still: the address and the finest detail follow, once an answer under way is there.
  tell() {
    if (this.waiting) {
      this.told = setTimeout(() => this.tell(), TOLD_AFTER_MS)
      return
    }
    this.ask(true)
    this.summarise()
  }

  clamp() {
    this.speed = Math.min(MOST_SPEED, Math.max(this.slowest, this.speed))
    this.start = Math.max(0, Math.min(this.start, this.data.duration - this.span))
  }

  // --- drawing ---

  draw() {
    if (!this.root.isConnected) return
    const { width } = this
    const lines = this.headLines(width)
    const top = lines.length * LINE_PX + 4
    const cells = this.cells(top)
    const height = Math.max(...cells.map(c => c.bottom)) + AXIS_PX
    const pen = this.pen(this.canvas, width, height)
    this.drawPaper(pen, { lines, top, cells, height, width })
    this.drawBar()
    this.update()
    if (!this.undrawn) return
    this.undrawn = false
    this.drawn += 1
    Object.assign(this.canvas.dataset, {
      drawn: this.drawn,
      bytes: this.block.bytes,
      serverMs: this.block.server_ms,
      view: this.block.id,
    })
  }

  pen(canvas, width, height, ratio = window.devicePixelRatio || 1) {
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)]
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w
      canvas.height = h
    }
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
    const pen = canvas.getContext("2d")
    pen.setTransform(ratio, 0, 0, ratio, 0, 0)
    pen.ratio = ratio
    pen.width = width
    pen.font = `12px ${this.colours.font}`
    pen.lineJoin = "round"
    return pen
  }

  drawPaper(pen, { lines, top, cells, height, width }) {
    const { colours, scale, data } = this
    const box = { x0: 0, x1: width, left: this.gutter, top, bottom: height - AXIS_PX }
    pen.fillStyle = colours.paper
    pen.fillRect(0, 0, width, height)
    drawGrid(pen, colours, box, scale, this.start)
    pen.fillStyle = colours.ink
    lines.forEach((line, i) => pen.fillText(line, 4, (i + 1) * LINE_PX - 5))
    if (this.layout !== "rows") drawAxis(pen, colours, box, scale, this.start, height)
    for (const cell of cells) this.drawCell(pen, cell, scale)
    for (const row of new Map(cells.map(c => [c.row, c])).values()) {
      if (scale.calibrated) drawPulse(pen, colours, scale, row.y)
    }
    for (const caliper of this.calipers) {
      const cell = cells.find(
        c => c.lead === caliper.lead && c.row === caliper.row && c.t1 > caliper.t0 && c.t0 < caliper.t1,
      )
      if (cell) drawCaliper(pen, colours, cell, caliper, scale, data.calibrated)
    }
    if (data.synthetic) {
      pen.font = `bold 15px ${colours.font}`
      pen.fillStyle = data.synthetic_colour
      pen.fillText("SYNTHETIC", Math.min(width, this.find(".scroll").clientWidth) - 104, top + 18)
      pen.font = `12px ${colours.font}`
    }
  }

  drawCell(pen, cell, scale) {
    const { data, colours, block } = this
    pen.save()
    pen.beginPath()
    pen.rect(cell.x0, cell.top - 0.5 * (cell.bottom - cell.top), cell.x1 - cell.x0,
      2 * (cell.bottom - cell.top))
    pen.clip()
    const shown = data.kinds.filter(k => this.kinds.has(k.key))
    for (const kind of shown) {
      const zero = data.zeros[kind.key][cell.lead]
      const own = block?.series.filter(
        s => s.kind === kind.key && s.lead === cell.lead && s.end > cell.t0 && s.first < cell.t1,
      ) ?? []
      const whole = own.some(s => s.first <= cell.t0 + s.step && s.end >= Math.min(cell.t1, data.duration) - 2 * s.step)
      if (!whole && this.overview.lead === cell.lead && this.overview.kind === kind.key) {
        pen.strokeStyle = colours.faint
        pen.lineWidth = 1
        drawSeries(pen, this.overview, cell, scale, zero)
      }
      pen.strokeStyle = kind.colour
      pen.lineWidth = 1.4
      for (const series of own) drawSeries(pen, series, cell, scale, zero)
    }
    pen.restore()
    const heads = this.layout === "standard" ? cell.row === 3 : this.layout !== "all" || cell.row === 0
    if (block && heads && this.find("[data-set=beats]").checked)
      drawBeats(pen, colours, cell, block.beats, scale, this.find("[data-set=rr]").checked)
    pen.font = `bold 13px ${colours.font}`
    pen.fillStyle = colours.ink
    const first = this.layout === "rows" ? clock(cell.t0, scale.pxPerS < 20 ? 1 : 0.1) : ""
    const name = this.layout === "rows" && cell.row ? first : `${data.leads[cell.lead]} ${first}`
    pen.fillText(name, cell.x0 + 4, cell.top + 24)
    pen.font = `12px ${colours.font}`
    if (this.layout === "standard" && cell.x0 > this.gutter)
      for (const y of [-1, 1]) upright(pen, cell.x0, cell.y + y * 9 - 4, cell.y + y * 9 + 4, 1.5)
  }

  // What a print must say of itself: its scale and its filter.
  headLines(width) {
    const { scale, data } = this
    const speed = scale.paced ? `${short(this.speed)} mm/s` : `${short(this.speed)} mm/s (${clock(this.span, 1)} across)`
    const gain = data.calibrated ? `${this.gain} mm/mV` : "unit unknown, height to fit"
    const filters = data.kinds.filter(k => this.kinds.has(k.key)).map(k => k.words)
    const shown = Math.min(width, this.find(".scroll").clientWidth || width)
    const pen = this.canvas.getContext("2d")
    pen.font = `12px ${this.colours.font}`
    const lines = [""]
    for (const word of [`${speed}  ${gain}`, ...filters, data.name]) {
      const longer = lines.at(-1) ? `${lines.at(-1)}   |   ${word}` : word
      if (lines.at(-1) && pen.measureText(longer).width > shown - 12) lines.push(word)
      else lines[lines.length - 1] = longer
    }
    return lines
  }

  drawBar() {
    const width = Math.max(100, this.find(".scroll").clientWidth - 6)
    const { colours, overview, data } = this
    const pen = this.pen(this.bar, width, OVERVIEW_PX)
    pen.fillStyle = colours.paper
    pen.fillRect(0, 0, width, OVERVIEW_PX)
    const [low, high] = data.heights[overview.lead]
    const scale = { pxPerS: width / data.duration, pxPerUnit: (OVERVIEW_PX - 8) / (high - low || 1) }
    const y = OVERVIEW_PX / 2 + ((low + high) / 2) * scale.pxPerUnit
    pen.strokeStyle = colours.faint
    pen.lineWidth = 1
    const zero = data.zeros[overview.kind][overview.lead]
    drawSeries(pen, overview, { x0: 0, t0: 0, t1: data.duration, y }, scale, zero)
    const x = this.start * scale.pxPerS
    const wide = Math.max(4, this.span * scale.pxPerS)
    pen.fillStyle = colours.accent
    pen.globalAlpha = 0.22
    pen.fillRect(x, 0, wide, OVERVIEW_PX)
    pen.globalAlpha = 1
    pen.strokeStyle = colours.accent
    pen.lineWidth = 2
    pen.strokeRect(x + 1, 1, wide - 2, OVERVIEW_PX - 2)
    const seen = data.duration > this.span * 1.02
    this.bar.hidden = !seen
    this.bar.setAttribute("aria-valuemax", data.duration.toFixed(1))
    this.bar.setAttribute("aria-valuenow", this.start.toFixed(1))
    this.bar.setAttribute("aria-valuetext", `from ${this.start.toFixed(1)} s`)
  }

  // --- controls ---

  controls() {
    const { data } = this
    const fill = (name, options) => {
      const select = this.find(`[data-set=${name}]`)
      select.replaceChildren(...options.map(([value, text]) => new Option(text, value)))
    }
    fill("speed", [...SPEEDS.map(s => [s, `${s} mm/s`]), ["free", ""]])
    fill("gain", GAINS.map(g => [g, data.calibrated ? `${g} mm/mV` : `× ${g / 10}`]))
    fill("layout", data.layouts.map(l => [l.key, l.words]))
    this.find(".several").hidden = data.layouts.length < 2
    const boxes = data.kinds.map(kind => {
      const box = document.createElement("label")
      box.className = "check"
      box.innerHTML = `<input type="checkbox"><span class="swatch"></span> `
      box.querySelector("input").dataset.kind = kind.key
      box.querySelector(".swatch").style.background = kind.colour
      box.append(kind.label)
      return box
    })
    this.find(".kinds").replaceChildren(this.find(".kinds legend"), ...boxes)
    this.canvas.setAttribute("aria-label", `ECG paper of ${data.name}, ${data.leads.join(", ")}`)
  }

  update() {
    const speed = this.find("[data-set=speed]")
    const { paced } = this.scale
    speed.lastElementChild.text = `${short(this.speed)} mm/s`
    speed.lastElementChild.hidden = paced
    speed.value = paced ? String(SPEEDS.find(s => Math.abs(s - this.speed) < 1e-6)) : "free"
    this.find("[data-set=gain]").value = String(this.gain)
    this.find("[data-set=layout]").value = this.layout
    for (const box of this.root.querySelectorAll("[data-kind]")) box.checked = this.kinds.has(box.dataset.kind)
    this.find("[data-do=caliper]").setAttribute("aria-pressed", String(this.measuring))
    this.canvas.classList.toggle("measuring", this.measuring)
    this.canvas.classList.toggle("scrolls", this.width > this.find(".scroll").clientWidth)
    const { beats } = this.block ?? {}
    const marks = beats && !beats.exact ? "| beats in this pixel" : "▼ R peak"
    const words = [marks, this.data.refused ? "✕ beat that was left out" : ""]
    if (this.data.calibrated && this.scale.paced)
      words.push(`1 mm = ${short(1 / this.speed)} s, ${short(1 / this.gain)} mV`)
    this.find(".legend").replaceChildren(
      ...words.filter(Boolean).map(word => Object.assign(document.createElement("span"), { textContent: word })),
    )
    Object.assign(this.canvas.dataset, {
      pxPerMm: PX_PER_MM.toFixed(4),
      speed: this.speed,
      gain: this.gain,
      start: this.start.toFixed(3),
      span: this.span.toFixed(3),
      calipers: this.calipers.map(c => caliperWords(c, this.data.calibrated)).join("; "),
    })
  }

  summarise() {
    const { block, data, start, span } = this
    if (!block) return
    const count = times => times.filter(t => t >= start && t <= start + span).length
    const words = [
      `From ${start.toFixed(1)} to ${Math.min(data.duration, start + span).toFixed(1)} of ${data.duration.toFixed(1)} seconds.`,
      this.headLines(1e6)[0].replaceAll("   |   ", ", ") + ".",
    ]
    if (block.beats.exact)
      words.push(`${count(block.beats.kept)} beats, ${count(block.beats.refused)} left out.`)
    if (this.calipers.length) words.push(`Calipers: ${this.canvas.dataset.calipers}.`)
    if (data.synthetic) words.push("Synthetic.")
    this.find("#summary").textContent = words.join(" ")
  }

  // --- input ---

  listen() {
    const on = (target, names, heard, options) => {
      for (const name of names.split(" ")) target.addEventListener(name, heard, options)
    }
    on(this.canvas, "pointerdown", e => this.press(e))
    on(this.canvas, "pointermove", e => this.move(e))
    on(this.canvas, "pointerup pointercancel", e => this.release(e))
    on(this.canvas, "wheel", e => this.wheel(e), { passive: false })
    on(this.canvas, "keydown", e => this.key(e))
    on(this.bar, "keydown", e => this.key(e))
    on(this.bar, "pointerdown pointermove", e => this.slide(e))
    on(this.root, "click", e => this.act(e.target.closest("[data-do]")?.dataset.do))
    on(this.root, "change", e => this.set(e.target))
  }

  set(control) {
    const { set, kind } = control.dataset
    if (kind) {
      if (control.checked) this.kinds.add(kind)
      else if (this.kinds.size > 1) this.kinds.delete(kind)
    } else if (set === "speed") this.zoomTo(Number(control.value))
    else if (set === "gain") this.gain = Number(control.value)
    else if (set === "layout") {
      this.layout = control.value
      if (this.layout === "standard" && !this.scale.paced) this.speed = 25
    }
    this.changed()
  }

  act(what) {
    if (!what) return
    if (what === "in" || what === "out") this.zoomTo(this.nextSpeed(what === "in"))
    if (what === "whole") this.zoomTo(this.slowest)
    if (what === "caliper") this.measuring = !this.measuring
    if (what === "undo") this.calipers = this.past.pop() ?? this.calipers
    if (what === "clear" && this.calipers.length) this.remember([])
    if (what === "full") this.fullScreen()
    if (what === "picture") this.savePicture()
    this.changed()
  }

  // Doublings of 25 mm/s, so that zooming by hand comes by the speeds of paper.
  nextSpeed(faster) {
    const power = Math.log2(this.speed / 25)
    return 25 * 2 ** (faster ? Math.floor(power + 1.001) : Math.ceil(power - 1.001))
  }

  // Zoom, with the time at x staying where it is.
  zoomTo(speed, x = null) {
    const held = x === null ? 0.5 : Math.max(0, x - this.gutter) / (this.width - this.gutter)
    const time = this.start + held * this.rowSpan
    this.speed = Math.min(MOST_SPEED, Math.max(this.slowest, speed))
    this.start = time - held * this.rowSpan
    this.changed()
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }

  // The time and value at a point of the canvas, and the cell that it is in.
  place(x, y) {
    const top = this.headLines(this.width).length * LINE_PX + 4
    const cells = this.cells(top)
    const far = c => Math.max(c.top - y, y - c.bottom, 0) * 4 + Math.max(c.x0 - x, x - c.x1, 0)
    const cell = cells.reduce((a, b) => (far(b) < far(a) ? b : a))
    const { pxPerS, pxPerUnit } = this.scale
    return { cell, t: cell.t0 + (x - cell.x0) / pxPerS, v: (cell.y - y) / pxPerUnit }
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId)
    this.pointers.set(event.pointerId, this.at(event))
    if (this.measuring && this.pointers.size === 1) {
      const { cell, t, v } = this.place(...this.at(event))
      this.remember([...this.calipers, { lead: cell.lead, row: cell.row, t0: t, t1: t, v0: v, v1: v }])
    } else this.canvas.classList.add("moving")
  }

  move(event) {
    const before = this.pointers.get(event.pointerId)
    if (!before) return
    const now = this.at(event)
    if (this.measuring) {
      this.stretch(now)
    } else if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1]
      const apart = p => Math.max(20, Math.hypot(p[0] - other[0], p[1] - other[1]))
      this.zoomTo(this.speed * (apart(now) / apart(before)), (now[0] + other[0]) / 2)
    } else if (!(event.pointerType === "touch" && this.canvas.classList.contains("scrolls"))) {
      this.start -= (now[0] - before[0]) / this.scale.pxPerS
    }
    this.pointers.set(event.pointerId, now)
    this.changed()
  }

  release(event) {
    this.pointers.delete(event.pointerId)
    this.canvas.classList.remove("moving")
    const last = this.calipers.at(-1)
    if (this.measuring && last && Math.abs(last.t1 - last.t0) * this.scale.pxPerS < 3) this.act("undo")
    this.changed()
  }

  stretch([x, y]) {
    const last = this.calipers.at(-1)
    const top = this.headLines(this.width).length * LINE_PX + 4
    const cell = this.cells(top).find(
      c => c.lead === last.lead && c.row === last.row && c.t0 <= last.t0 && c.t1 >= last.t0,
    )
    if (!cell) return
    last.t1 = cell.t0 + (x - cell.x0) / this.scale.pxPerS
    last.v1 = (cell.y - y) / this.scale.pxPerUnit
  }

  remember(calipers) {
    this.past.push(this.calipers)
    this.calipers = calipers
  }

  // A caliper of 200 ms and half a millivolt in the middle, for those who use keys.
  addCaliper() {
    const top = this.headLines(this.width).length * LINE_PX + 4
    const { cell } = this.place(this.width / 2, top + 1)
    const t0 = (cell.t0 + cell.t1) / 2
    const high = (5 * PX_PER_MM) / this.scale.pxPerUnit
    this.remember([...this.calipers, { lead: cell.lead, row: cell.row, t0, t1: t0 + 0.2, v0: 0, v1: high }])
  }

  // A wheel scrolls the page, until the paper is clicked; with Ctrl, and a pinch, it always zooms.
  wheel(event) {
    const own = event.ctrlKey || event.metaKey || this.root.getRootNode().activeElement === this.canvas
    if (!own) return
    event.preventDefault()
    const unit = event.deltaMode === 1 ? 30 : 1
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.start += ((event.deltaX || event.deltaY) * unit) / this.scale.pxPerS
      this.changed()
    } else this.zoomTo(this.speed * Math.exp(-event.deltaY * unit * 0.003), this.at(event)[0])
  }

  key(event) {
    if (event.altKey || ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() !== "z")) return
    const last = this.calipers.at(-1)
    const step = this.span * 0.1
    const keys = {
      ArrowLeft: () => (event.shiftKey && last ? (last.t1 -= 0.01) : (this.start -= step)),
      ArrowRight: () => (event.shiftKey && last ? (last.t1 += 0.01) : (this.start += step)),
      PageUp: () => (this.start -= this.span),
      PageDown: () => (this.start += this.span),
      Home: () => (this.start = 0),
      End: () => (this.start = this.data.duration),
      "+": () => this.act("in"),
      "=": () => this.act("in"),
      "-": () => this.act("out"),
      0: () => this.act("whole"),
      1: () => this.zoomTo(SPEEDS[0]),
      2: () => this.zoomTo(SPEEDS[1]),
      3: () => this.zoomTo(SPEEDS[2]),
      c: () => this.act("caliper"),
      f: () => this.act("full"),
      z: () => this.act("undo"),
      Enter: () => this.measuring && this.addCaliper(),
    }
    const heard = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (!heard) return
    event.preventDefault()
    event.stopPropagation()
    heard()
    this.changed()
  }

  slide(event) {
    if (event.type === "pointerdown") this.bar.setPointerCapture(event.pointerId)
    else if (!event.buttons) return
    const box = this.bar.getBoundingClientRect()
    this.start = ((event.clientX - box.left) / box.width) * this.data.duration - this.span / 2
    this.changed()
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen()
    else this.root.requestFullscreen?.()
  }

  savePicture() {
    const { width } = this
    const lines = [...this.headLines(width), this.data.notice]
    const top = lines.length * LINE_PX + 4
    const cells = this.cells(top)
    const height = Math.max(...cells.map(c => c.bottom)) + AXIS_PX
    const canvas = document.createElement("canvas")
    this.drawPaper(this.pen(canvas, width, height, 2), { lines, top, cells, height, width })
    const link = document.createElement("a")
    link.download = `${this.data.name.replace(/[^\w.-]+/g, "_")}-${this.start.toFixed(1)}s.png`
    link.href = canvas.toDataURL("image/png")
    link.click()
  }
}
