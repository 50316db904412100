package client

import (
	"context"
	"net"
	"time"
)

// inquire writes a question on a connection that nothing else uses, and reads until done says
// that the answer is whole, or wrong. done is given all that has come so far. When ctx ends,
// its error is returned, and nc is of no use any more.
func inquire(ctx context.Context, nc net.Conn, question []byte, done func(answer []byte) (whole bool, err error)) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	fail := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if _, err := nc.Write(question); err != nil {
		return fail(err)
	}
	var answer []byte
	for {
		buf := make([]byte, max(256, len(answer)))
		n, err := nc.Read(buf)
		answer = append(answer, buf[:n]...)
		whole, bad := done(answer)
		switch {
		case bad != nil:
			return fail(bad)
		case whole && !stop():
			return fail(ctx.Err())
		case whole:
			return nil
		case err != nil:
			return fail(err)
		}
	}
}
