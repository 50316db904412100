package nodeserver

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/memherd/memherd/client/memproto"
)

// Users are the names and passwords that Config.Users lets in.
type Users map[string]string

// maxUsers is memcached's bound on an auth file.
const maxUsers = 8

// ReadUsers reads memcached's auth file (-Y): one "user:password" a line, 8 at most.
// Neither may be empty or hold blanks, which the protocol cannot carry. Errors name the
// line's number, never what is in it.
func ReadUsers(r io.Reader) (Users, error) {
	users := Users{}
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan(); line++ {
		text := bytes.TrimRight(sc.Bytes(), "\r")
		if len(text) == 0 {
			continue
		}
		name, password, ok := bytes.Cut(text, []byte(":"))
		if !ok || len(name) == 0 || len(password) == 0 || bytes.ContainsAny(text, " \t") {
			return nil, fmt.Errorf("nodeserver: auth file, line %d: need user:password without blanks", line)
		}
		if _, twice := users[string(name)]; twice {
			return nil, fmt.Errorf("nodeserver: auth file, line %d: the user stands there twice", line)
		}
		users[string(name)] = string(password)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("nodeserver: auth file: %w", err)
	}
	if len(users) == 0 || len(users) > maxUsers {
		return nil, fmt.Errorf("nodeserver: auth file: %d users, need 1 to %d", len(users), maxUsers)
	}
	return users, nil
}

func (u Users) check() error {
	for name, password := range u {
		if name == "" || password == "" || bytes.ContainsAny([]byte(name+password), " \r\n\x00") {
			return errors.New("nodeserver: Users: a name or password is empty or holds blanks")
		}
	}
	return nil
}

// doorkeeper knows who may come in, as keyed hashes of fixed length, so that comparing takes
// the same time whatever was sent and whoever is known.
type doorkeeper struct {
	key    [32]byte
	hashes [][sha256.Size]byte
	// equal is subtle.ConstantTimeCompare; a test counts its calls.
	equal func(x, y []byte) int
}

func newDoorkeeper(users Users) *doorkeeper {
	if len(users) == 0 {
		return nil
	}
	g := &doorkeeper{equal: subtle.ConstantTimeCompare}
	rand.Read(g.key[:])
	for name, password := range users {
		g.hashes = append(g.hashes, g.hash([]byte(name), []byte(password)))
	}
	return g
}

// SetUsers replaces Config.Users. Who is in stays in. A node that everybody may enter has
// connections that never logged in, and stays open; none is no replacement, either.
func (s *Server) SetUsers(users Users) error {
	if err := users.check(); err != nil {
		return err
	}
	if len(users) == 0 || s.door.Load() == nil {
		return errors.New("nodeserver: SetUsers replaces users by others")
	}
	s.door.Store(newDoorkeeper(users))
	return nil
}

func (g *doorkeeper) hash(name, password []byte) (out [sha256.Size]byte) {
	m := hmac.New(sha256.New, g.key[:])
	m.Write(name)
	m.Write([]byte{0}) // neither may hold one
	m.Write(password)
	m.Sum(out[:0])
	return out
}

// admits compares what was sent with every user's, also when one of them has been found: when
// it ends says neither whether the name is known nor whose it is.
func (g *doorkeeper) admits(name, password []byte) bool {
	sent := g.hash(name, password)
	ok := 0
	for i := range g.hashes {
		ok |= g.equal(sent[:], g.hashes[i][:])
	}
	return ok == 1
}

const (
	// maxAuthLine and maxAuthBlock bound what an unknown peer makes the node keep.
	maxAuthLine  = 2048
	maxAuthBlock = 2048
	// maxAuthFailures is after how many wrong log-ins a connection is closed.
	maxAuthFailures = 10
)

// login reads memcached's log-in, a set whose value is "user password" and whose key does
// not matter. It answers everything else with an error. False means that more bytes are
// needed.
func (c *conn) login() bool {
	buf := c.rbuf[c.r:c.w]
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		c.quit = len(buf) > maxAuthLine
		return c.quit
	}
	f := bytes.Fields(buf[:end])
	size, ok := 0, false
	if len(f) >= 5 && string(f[0]) == "set" {
		size, ok = authBlock(f[4])
	}
	if !ok {
		c.r += end + 1
		c.refuseLogin("CLIENT_ERROR unauthenticated")
		return true
	}
	if len(buf) < end+1+size+len(crlf) {
		c.need = end + 1 + size + len(crlf)
		return false
	}
	c.need = 0
	block := buf[end+1 : end+1+size+len(crlf)]
	c.r += end + 1 + len(block)
	body, ended := bytes.CutSuffix(block, []byte(crlf))
	words := bytes.Fields(body)
	switch {
	case !ended:
		c.refuseLogin("CLIENT_ERROR bad command line termination")
	case len(words) < 2:
		c.refuseLogin("CLIENT_ERROR bad authentication token format")
	case !c.srv.door.Load().admits(words[0], words[1]):
		c.srv.stats.authCmds.Add(1)
		c.srv.stats.authErrors.Add(1)
		c.refuseLogin("CLIENT_ERROR authentication failure")
	default:
		c.srv.stats.authCmds.Add(1)
		c.authenticated = true
		c.line("STORED")
	}
	return true
}

func (c *conn) refuseLogin(reply string) {
	c.line(reply)
	c.authFailures++
	c.quit = c.authFailures >= maxAuthFailures
}

// authBlock is the length of a log-in's data block, if it is one.
func authBlock(digits []byte) (int, bool) {
	n, ok := memproto.ParseCounter(digits)
	return int(n), ok && n <= maxAuthBlock
}
