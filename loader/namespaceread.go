package loader

import (
	"context"
	"errors"
)

// read calls one of the loader's reads in the generation that is current.
func (n *Namespace[V]) read(ctx context.Context, call func(*Loader[V]) error) error {
	for {
		l, err := n.recent(ctx)
		if err != nil {
			return err
		}
		if err = call(l); !errors.Is(err, ErrClosed) || !l.closed.Load() || n.isClosed() {
			return err
		}
		// The generation has changed between the two.
	}
}

// Get is Loader.Get in this namespace.
func (n *Namespace[V]) Get(ctx context.Context, key string) (v V, err error) {
	err = n.read(ctx, func(l *Loader[V]) error {
		v, err = l.Get(ctx, key)
		return err
	})
	return v, err
}

// GetMulti is Loader.GetMulti in this namespace: all keys are read in one generation.
func (n *Namespace[V]) GetMulti(ctx context.Context, keys []string) (found map[string]V, err error) {
	err = n.read(ctx, func(l *Loader[V]) error {
		found, err = l.GetMulti(ctx, keys)
		return err
	})
	return found, err
}

// Refresh is Loader.Refresh in this namespace.
func (n *Namespace[V]) Refresh(ctx context.Context, key string) (v V, err error) {
	err = n.read(ctx, func(l *Loader[V]) error {
		v, err = l.Refresh(ctx, key)
		return err
	})
	return v, err
}

// Peek is Loader.Peek in this namespace. It draws a generation if there is none, and finds nothing
// then.
func (n *Namespace[V]) Peek(ctx context.Context, key string) (v V, err error) {
	err = n.read(ctx, func(l *Loader[V]) error {
		v, err = l.Peek(ctx, key)
		return err
	})
	return v, err
}
