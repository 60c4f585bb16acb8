"""What several pages share: workspace, study picker, uploads, job panel, study's content."""
