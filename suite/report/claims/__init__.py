"""What becomes of the papers' claims: verdicts computed from records. `judge.judge_claims` is where it begins."""
