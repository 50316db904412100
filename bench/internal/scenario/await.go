package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/client"
)

// patience is how long a scenario waits for what should take a second or two.
const patience = time.Minute

// pause waits for d, or until the run is broken off.
func (r *run) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// calm is the phase of a load before the fault. The first connections and the growth of stacks and
// buffers are no part of it.
func (r *run) calm(l *load) error {
	if err := r.pause(r.Phase / 4); err != nil {
		return err
	}
	l.enter(before)
	return r.pause(r.Phase)
}

// await waits until something has come true. That it does not is an error: the rest of
// the scenario would say nothing.
func (r *run) await(what string, is func() bool) error {
	for began := time.Now(); !is(); {
		if time.Since(began) > patience {
			return fmt.Errorf("%v have passed before %s", patience, what)
		}
		if err := r.pause(time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// insist does something again and again until it succeeds: what comes before or after a
// fault must on a machine that is busy with something else, too.
func (r *run) insist(do func() error) error {
	var last error
	if err := r.await("it succeeded", func() bool { last = do(); return last == nil }); err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// until insists on something for every key.
func (r *run) until(keys []string, do func(key string) error) error {
	return r.parallel(len(keys), func(i int) error {
		return r.insist(func() error { return do(keys[i]) })
	})
}

// awaitUp waits until the client reads from the node again and returns how long it took.
func (r *run) awaitUp(c *client.Client, node string) (time.Duration, error) {
	began := time.Now()
	err := r.await("the node is read again", func() bool { return status(c, node).State == "up" })
	return time.Since(began), err
}
