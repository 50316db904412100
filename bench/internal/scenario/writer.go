package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
	"github.com/memherd/memherd/ring"
)

// writerPart is the name of the part that writes back.
const writerPart = "writer"

// writing is how a writer is set up.
type writing struct {
	Nodes    []ring.Node
	Database string // the origin's file
	Guarded  bool   // see origin.OpenVersioned
	Journal  string
	Timeout  time.Duration // of the client
	// Fails is the share of the origin's writes that fail, Delay the longest that one takes
	// before it does anything.
	Fails float64
	Delay time.Duration
	// Writers, if not 0, write Keys keys each until the process is killed, values that rise from Base on, and
	// the process takes no orders.
	Writers, Keys, Base int
}

// ack is a write that has been accepted: the writer's key, and the value.
type ack struct {
	K string
	N int
}

// writeOrder is what a writer is told to do.
type writeOrder struct {
	Put    string `json:",omitempty"` // this key
	Body   string
	Policy loader.WritePolicy
	Get    string `json:",omitempty"` // this key
	Flush  bool
}

// written is what came of it.
type written struct{ Body, Err string }

// writer is a process that writes back to an SQLite database.
type writer struct {
	cfg    writing
	client *client.Client
	*loader.Loader[string]
	journal *journal.Journal
	db      *origin.Versioned
	foreign atomic.Uint64 // writes that had no version of their own
}

// playWriter is the part.
func playWriter(s *part.Script) (err error) {
	w := &writer{}
	if err := s.Read(&w.cfg); err != nil {
		return err
	}
	defer closing(&err, w.close)
	if err := w.open(); err != nil {
		return err
	}
	if err := s.Say(written{}); err != nil { // it is ready, and what was in the journal is on its way
		return err
	}
	if w.cfg.Writers > 0 {
		return w.scribble(s)
	}
	return part.Serve(s, w.obey)
}

func (w *writer) open() (err error) {
	if w.db, err = origin.OpenVersioned(w.cfg.Database, w.cfg.Guarded); err != nil {
		return err
	}
	if w.journal, err = journal.Open(w.cfg.Journal); err != nil {
		return err
	}
	w.client, err = client.New(client.Config{Nodes: w.cfg.Nodes, ReplicationFactor: Copies, Timeout: w.cfg.Timeout, DialTimeout: w.cfg.Timeout})
	if err != nil {
		return err
	}
	back := loader.BackConfig[string]{Journal: w.journal, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond, MaxAttempts: 1 << 20}
	if !w.cfg.Guarded {
		back.StoreMany = w.storeMany
	}
	w.Loader, err = loader.New(w.client, loader.Config[string]{
		Load: w.load, Store: w.store, Codec: loader.String{}, Write: loader.WriteBack, Back: back,
	})
	return err
}

func (w *writer) close() error {
	var err error
	if w.Loader != nil {
		err = w.Loader.Close()
	}
	if w.client != nil {
		err = errors.Join(err, w.client.Close())
	}
	if w.journal != nil {
		err = errors.Join(err, w.journal.Close())
	}
	if w.db != nil {
		err = errors.Join(err, w.db.Close())
	}
	return err
}

func (w *writer) load(ctx context.Context, key string) (string, error) {
	row, err := w.db.Load(ctx, key)
	if errors.Is(err, origin.ErrNoRow) {
		err = loader.ErrNotFound
	}
	return row.Body, err
}

func (w *writer) store(ctx context.Context, key, body string) error {
	v, ok := loader.VersionOf(ctx)
	if !ok {
		v = loader.Version{Time: time.Now(), Seq: w.foreign.Add(1)}
	}
	return w.commit(ctx, origin.Row{Key: key, Body: body, Version: v.String()})
}

func (w *writer) storeMany(ctx context.Context, ws []loader.Write[string]) error {
	rows := make([]origin.Row, len(ws))
	for i, one := range ws {
		rows[i] = origin.Row{Key: one.Key, Body: one.Value, Version: one.Version.String()}
	}
	return w.commit(ctx, rows...)
}

var errNotNow = errors.New("the origin does not want to")

func (w *writer) commit(ctx context.Context, rows ...origin.Row) error {
	if w.cfg.Delay > 0 {
		time.Sleep(rand.N(w.cfg.Delay))
	}
	if rand.Float64() < w.cfg.Fails {
		return errNotNow
	}
	err := w.db.Store(ctx, rows...)
	if errors.Is(err, origin.ErrNewer) {
		return loader.ErrSuperseded
	}
	return err
}

// scribble writes until the process is killed or nobody listens, and says each write that
// has been accepted.
func (w *writer) scribble(s *part.Script) error {
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for i := range w.cfg.Writers {
		wg.Go(func() {
			for n := w.cfg.Base + 1; failed.Load() == nil; n++ {
				select {
				case <-s.Gone():
					return
				default:
				}
				a := ack{fmt.Sprint(i, ".", rand.IntN(w.cfg.Keys)), n}
				err := w.Put(context.Background(), a.K, strconv.Itoa(n))
				if err == nil {
					err = s.Say(a)
				}
				if err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// obey carries an order out.
func (w *writer) obey(o writeOrder) (a written, err error) {
	ctx := context.Background()
	switch {
	case o.Put != "":
		err = w.PutWith(ctx, o.Put, o.Body, loader.WriteOptions{Policy: o.Policy})
	case o.Get != "":
		a.Body, err = w.Get(ctx, o.Get)
	case o.Flush:
		err = w.Flush(ctx)
	default:
		return a, errors.New("an order that says nothing")
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a, nil
}

// peeks look at single copies: one loader a node, that never loads.
type peeks []*process

// peek makes the peeks of a fleet.
func (s *stage) peek() (out peeks, err error) {
	for _, n := range s.straight() {
		c, err := client.New(client.Config{Nodes: []ring.Node{n}, Timeout: HerdTimeout, DialTimeout: HerdTimeout, EpochKey: client.NoEpoch})
		if err != nil {
			return out, errors.Join(err, out.close())
		}
		l, err := loader.New(c, loader.Config[[]byte]{Codec: loader.Bytes{}, Load: func(context.Context, string) ([]byte, error) {
			return nil, errors.New("a peek does not load")
		}})
		if err != nil {
			return out, errors.Join(err, c.Close(), out.close())
		}
		out = append(out, &process{c, l})
	}
	return out, nil
}

// others counts the copies of key that hold something else than body. Those that hold
// nothing are fine.
func (p peeks) others(ctx context.Context, key, body string) (n int, err error) {
	for _, one := range p {
		b, err := one.Peek(ctx, key)
		switch {
		case errors.Is(err, client.ErrCacheMiss):
		case errors.Is(err, loader.ErrNotFound):
			n++ // an absence that somebody remembers
		case err != nil:
			return n, err
		case string(b) != body:
			n++
		}
	}
	return n, nil
}

func (p peeks) close() (err error) {
	for _, one := range p {
		err = errors.Join(err, one.Close())
	}
	return err
}
