package table

import "context"

// Waiting returns how many statements wait for another transaction's lock; of PostgreSQL only.
func (t *Table) Waiting(ctx context.Context) (n int, err error) {
	err = t.db.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'`).Scan(&n)
	return n, err
}

// PauseReplay stops a standby from following its primary; of PostgreSQL only. Its rows stay as they are.
func (t *Table) PauseReplay(ctx context.Context) error {
	if _, err := t.db.ExecContext(ctx, `SELECT pg_wal_replay_pause()`); err != nil {
		return err
	}
	for { // it is a request, which is met between two records
		var state string
		if err := t.db.QueryRowContext(ctx, `SELECT pg_get_wal_replay_pause_state()`).Scan(&state); err != nil {
			return err
		}
		if state == "paused" {
			return nil
		}
	}
}

// ResumeReplay lets it follow again.
func (t *Table) ResumeReplay(ctx context.Context) error {
	_, err := t.db.ExecContext(ctx, `SELECT pg_wal_replay_resume()`)
	return err
}
