package top

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/fleet"
)

// patience is how long a node may take for anything but events.
const patience = 2 * time.Second

// maxLine is the longest line that is looked at; the rest of a longer one is no event.
const maxLine = 4096

// conn is a connection to a node, in lines.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(ctx context.Context, addr string) (*conn, error) {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, fleet.Network(addr), addr)
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

func newConn(c net.Conn) *conn { return &conn{c, bufio.NewReaderSize(c, 64<<10)} }

// line reads one, without its end. Of one that is longer than maxLine it returns nothing.
func (c *conn) line() ([]byte, error) {
	long := false
	for {
		b, err := c.in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = true
			continue
		case err != nil:
			return nil, err
		case long || len(b) > maxLine:
			return nil, nil
		}
		return bytes.TrimRight(b, "\r\n"), nil
	}
}

// dropped is how many events the node has not passed on to watchers since it was started: what it says of single watchers
// is not all, events that are lost earlier are told by nobody.
func (c *conn) dropped() (n uint64, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte("stats\r\n")); err != nil {
		return 0, err
	}
	for {
		b, err := c.line()
		if err != nil {
			return 0, err
		}
		w := strings.Fields(string(b))
		switch {
		case len(w) == 1 && w[0] == "END":
			return n, nil
		case len(w) == 3 && w[0] == "STAT":
			if w[1] == "log_worker_dropped" || w[1] == "log_watcher_skipped" {
				v, err := strconv.ParseUint(w[2], 10, 63)
				if err != nil {
					return 0, errors.New("its statistics make no sense")
				}
				n += v
			}
		default:
			return 0, fmt.Errorf("it does not answer stats: %.40q", b)
		}
	}
}

// Watch hands each key that the node at addr, host:port or the path of a Unix socket, is asked for to each, for so long or until ctx ends. lost is how many
// events there were besides, at most: other watchers' losses are among them.
func Watch(ctx context.Context, addr string, lasts time.Duration, each func(Event)) (lost uint64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", addr, err)
		}
	}()
	c, err := dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	before, err := c.dropped()
	if err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte("watch fetchers\r\n")); err != nil {
		return 0, err
	}
	switch b, err := c.line(); {
	case err != nil:
		return 0, err
	case string(b) != "OK":
		return 0, fmt.Errorf("it cannot be watched: %.60q", b)
	}
	// The end of ctx has the read under way end, too.
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.SetReadDeadline(time.Now().Add(lasts)); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	for {
		b, err := c.line()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return c.after(ctx, addr, before)
		case err != nil:
			return 0, err
		}
		if e, _, ok := parse(b); ok {
			each(e)
		}
	}
}

// after is what has been lost since before, asked on another connection: the one that watched is good for nothing else.
func (c *conn) after(ctx context.Context, addr string, before uint64) (uint64, error) {
	_ = c.Close()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	again, err := dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer again.Close()
	now, err := again.dropped()
	if err != nil {
		return 0, err
	}
	return now - min(before, now), nil
}
