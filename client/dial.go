package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Auth is a user of nodes that ask for one: memcached's -Y, "ASCII authentication".
type Auth struct {
	// Username is sent as it is: 1 to 255 bytes without spaces, colons or control
	// characters.
	Username string
	// Password is kept out of logs and errors by its type. 1 to 255 bytes without
	// control characters; memcached 1.6.18 fails one with a space in it.
	Password item.Secret
}

// ErrAuth: the node refused Config.Auth, or asked for none and could not take it. A node that went away before it answered,
// or takes no more connections, did neither.
var ErrAuth = errors.New("memherd: authentication failed")

// check refuses what the node could not read back: the pair travels as one data
// block "user password", and the node's file has "user:password" lines.
func (a *Auth) check() error {
	if a == nil {
		return nil
	}
	for _, part := range []struct{ name, s, bad string }{
		{"Username", a.Username, " :"}, {"Password", string(a.Password), ""},
	} {
		if len(part.s) == 0 || len(part.s) > 255 {
			return configError("Auth.%s is empty or longer than 255 bytes", part.name)
		}
		for i := range len(part.s) {
			if part.s[i] < ' ' || part.s[i] == 0x7f || strings.IndexByte(part.bad, part.s[i]) >= 0 {
				return configError("Auth.%s has a control character, a space or a colon", part.name)
			}
		}
	}
	return nil
}

// open dials the node and makes the connection ready for the probe: TLS, then
// authentication. Nothing else is sent before the node's answer to it (a server
// throws away what is pipelined behind a failed one).
func (n *node) open(ctx context.Context) (net.Conn, error) {
	nc, err := n.c.cfg.DialContext(ctx, n.network, n.Addr)
	if err != nil {
		return nil, err
	}
	ready, err := n.secure(ctx, nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return ready, nil
}

func (n *node) secure(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if cfg := n.c.cfg.TLS; cfg != nil {
		if cfg.ServerName == "" && n.network == "tcp" { // also if it is a function of the caller's that verifies it
			cfg = cfg.Clone()
			cfg.ServerName = hostOf(n.Addr)
		}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		nc = tc
	}
	if a := n.c.cfg.Auth; a != nil {
		if err := authenticate(ctx, nc, a); err != nil {
			return nil, err
		}
	}
	return nc, nil
}

func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// authenticate sends the classic set that a server with -Y takes as a log-in. Its key
// is random and its exptime negative: a server without -Y takes it for an ordinary
// set, and must not keep the password as an item that anybody can read.
func authenticate(ctx context.Context, nc net.Conn, a *Auth) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := memproto.Request{
		Cmd: memproto.CmdSet, Key: []byte("memherd-auth:" + rand.Text()), Exptime: memproto.ExptimeExpired,
		Value: []byte(a.Username + " " + string(a.Password)),
	}
	fail := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("memherd: while logging in: %w", err)
	}
	if _, err := nc.Write(req.Append(nil)); err != nil {
		return fail(err)
	}
	// Byte by byte: nothing but this answer may be under way, but what would follow it
	// must not be swallowed.
	line := make([]byte, 0, 64)
	for len(line) < 512 {
		var b [1]byte
		if _, err := nc.Read(b[:]); err != nil {
			return fail(err)
		}
		line = append(line, b[0])
		if b[0] == '\n' {
			break
		}
	}
	var resp memproto.Response
	if _, err := memproto.DecodeResponse(line, nil, &resp); err != nil {
		return fmt.Errorf("%w: the node's answer is no reply", ErrAuth)
	}
	if resp.Status != memproto.StatusStored {
		cause := ErrAuth
		if resp.Status == memproto.StatusError { // it has yet to look at what was sent: see readProbe
			cause = item.ErrServer
		}
		return fmt.Errorf("%w: the node says %s", cause, strconv.Quote(resp.Status.String()+" "+string(resp.Message)))
	}
	if !stop() {
		return ctx.Err()
	}
	return nil
}
