package nodeserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLogin was recorded from memcached 1.6.18 -Y.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nc := dialMem(t, Config{Users: Users{"bob": "secret", "al": "x"}})
		p := newGoldenPeer(nc)
		for _, c := range []struct{ send, want string }{
			{"get a\r\n", "CLIENT_ERROR unauthenticated\r\n"},
			{"set x 0 0 3\r\nfoo\r\n", "CLIENT_ERROR bad authentication token format\r\n"},
			{"set x 0 0 7\r\nbob foo\r\n", "CLIENT_ERROR authentication failure\r\n"},
			{"set x 0 0 9\r\nal secret\r\n", "CLIENT_ERROR authentication failure\r\n"},
			{"set x 0 0 10\r\nbob secretXX", "CLIENT_ERROR bad command line termination\r\n"},
			{"set x 0 0 10\r\nbob secret\r\nget x\r\nset x 0 0 1\r\ny\r\n", "STORED\r\nEND\r\nSTORED\r\n"},
		} {
			got, closed := p.exchange(c.send)
			assert.Equal(t, c.want, got, "%q", c.send)
			assert.False(t, closed)
		}
	})
}

func TestLoginByteByByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nc := dialMem(t, Config{Users: Users{"al": "x"}})
		p := newGoldenPeer(nc)
		got, _ := p.exchange(bytewise("mn\r\nset k 0 0 4\r\nal x\r\nmn\r\n")...)
		assert.Equal(t, "CLIENT_ERROR unauthenticated\r\nSTORED\r\nMN\r\n", got)
	})
}

func TestLoginClosesOnWhoGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nc := dialMem(t, Config{Users: Users{"al": "x"}})
		p := newGoldenPeer(nc)
		got, closed := p.exchange(strings.Repeat("set k 0 0 4\r\nal y\r\n", maxAuthFailures-1))
		assert.Equal(t, strings.Repeat("CLIENT_ERROR authentication failure\r\n", maxAuthFailures-1), got)
		assert.False(t, closed)
		_, closed = p.exchange("set k 0 0 4\r\nal y\r\nset k 0 0 4\r\nal x\r\n")
		assert.True(t, closed)
	})
}

func TestLoginBoundsWhatItKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for send, want := range map[string]string{
			strings.Repeat("x", maxAuthLine+1):              "",
			"set k 0 0 1000000000\r\n":                      "CLIENT_ERROR unauthenticated\r\n",
			"set k 0 0 99999999999999999999\r\n":            "CLIENT_ERROR unauthenticated\r\n",
			"set k 0 0 -1\r\n":                              "CLIENT_ERROR unauthenticated\r\n",
			"\x80\x00\x00\x00\r\n":                          "CLIENT_ERROR unauthenticated\r\n",
			"set k 0 0 4 \r\n" + "al\tx\r\nversion bye\r\n": "STORED\r\nVERSION " + Version + "\r\n",
		} {
			_, nc := dialMem(t, Config{Users: Users{"al": "x"}})
			p := newGoldenPeer(nc)
			got, closed := p.exchange(send)
			assert.Equal(t, want, got, "%.40q", send)
			assert.Equal(t, want == "", closed, "%.40q", send)
		}
	})
}

// TestLoginComparesAlike: whoever logs in, with whatever, is compared with every user, over
// as many bytes each time, by the function whose time does not depend on what they are.
func TestLoginComparesAlike(t *testing.T) {
	users := Users{"bob": "secret", "al": "x", "carol": strings.Repeat("p", 200)}
	g := newDoorkeeper(users)
	assert.Equal(t, reflect.ValueOf(subtle.ConstantTimeCompare).Pointer(), reflect.ValueOf(g.equal).Pointer())
	calls, right := 0, 0
	g.equal = func(x, y []byte) int {
		calls++
		assert.Len(t, x, sha256.Size)
		assert.Len(t, y, sha256.Size)
		n := subtle.ConstantTimeCompare(x, y)
		right += n
		return n
	}
	type attempt struct {
		name, password string
		in             bool
	}
	attempts := []attempt{{"", "", false}, {"bob", "", false}, {"bob", "secre", false}, {"bob", "Secret", false}, {"bob", "secrets", false}, {"bobsecret", "", false},
		{"bo", "bsecret", false}, {"nobody", "secret", false}, {"al", "secret", false}, {strings.Repeat("n", 1000), strings.Repeat("p", 1000), false}, {"carol", "x", false}}
	for name, password := range users {
		attempts = append(attempts, attempt{name, password, true})
	}
	for _, a := range attempts {
		calls, right = 0, 0
		assert.Equal(t, a.in, g.admits([]byte(a.name), []byte(a.password)), "%q", a.name)
		assert.Equal(t, len(users), calls, "%q: compared with every user, found or not", a.name)
		if a.in {
			assert.Equal(t, 1, right)
		}
	}
	seen := map[[sha256.Size]byte]bool{}
	for _, h := range append(g.hashes, newDoorkeeper(users).hashes...) {
		assert.False(t, seen[h], "each server has a key of its own, and nobody's hash is another's")
		seen[h] = true
	}
}

// TestSetUsers: from then on the new ones come in, and the log-ins are counted.
func TestSetUsers(t *testing.T) {
	cfg := Config{Users: Users{"al": "x"}}
	s, in := dialMem(t, cfg)
	const al, bob = "set k 0 0 4\r\nal x\r\n", "set k 0 0 5\r\nbob y\r\n"
	assert.Equal(t, "CLIENT_ERROR authentication failure\r\nSTORED\r\n", ask(t, in, bob+al))
	require.NoError(t, s.SetUsers(Users{"bob": "y"}))
	assert.Equal(t, "EN\r\n", ask(t, in, "mg k\r\n"), "who is in stays in")
	nc, err := s.cfg.Network.DialContext(t.Context(), "", "n")
	require.NoError(t, err)
	defer nc.Close()
	assert.Equal(t, "CLIENT_ERROR authentication failure\r\nSTORED\r\n", ask(t, nc, al+bob))
	stats := ask(t, nc, "stats\r\n")
	assert.Equal(t, 4, statOf(t, stats, "auth_cmds"))
	assert.Equal(t, 2, statOf(t, stats, "auth_errors"))
	assert.Zero(t, statOf(t, ask(t, nc, "stats reset\r\nstats\r\n"), "auth_cmds"))

	for _, wrong := range []Users{nil, {}, {"a b": "canary"}} {
		require.Error(t, s.SetUsers(wrong))
		require.NotContains(t, s.SetUsers(wrong).Error(), "canary")
	}
	open, err := New(Config{})
	require.NoError(t, err)
	require.Error(t, open.SetUsers(Users{"al": "x"}), "everybody is in already")
}

func TestReadUsers(t *testing.T) {
	u, err := ReadUsers(strings.NewReader("bob:se:cret\r\n\nal:x\n"))
	require.NoError(t, err)
	assert.Equal(t, Users{"bob": "se:cret", "al": "x"}, u)
	for text, want := range map[string]string{
		"":              "0 users",
		"canary\n":      "line 1",
		"a:b\n:canary":  "line 2",
		"canary:":       "line 1",
		"a:b canary":    "line 1",
		"a:canary\na:c": "line 2",
		"1:x\n2:x\n3:x\n4:x\n5:x\n6:x\n7:x\n8:x\n9:x": "9 users",
		strings.Repeat("canary", 20_000):              "auth file",
	} {
		_, err := ReadUsers(strings.NewReader(text))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "canary")
	}
	_, err = New(Config{Users: Users{"a b": "canary"}})
	require.ErrorContains(t, err, "Users")
	require.NotContains(t, err.Error(), "canary")
}

// FuzzLogin: nobody comes in without the password, however the stream is cut.
func FuzzLogin(f *testing.F) {
	f.Add([]byte("set k 0 0 4\r\nal y\r\n"), uint16(5))
	f.Add([]byte("get a\r\nset k 0 0 0\r\n\r\nset k 0 0 3\r\nal\r\n"), uint16(9))
	f.Add([]byte("set k 0 0 2048\r\n"), uint16(1))
	users := Users{"al": "a-password-that-no-fuzzer-guesses"}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if len(in) > 1500 {
			return // longer lines may depend on whether they arrive whole
		}
		i := int(cut) % (len(in) + 1)
		whole, quit1 := feed(t, users, in)
		parts, quit2 := feed(t, users, in[:i], in[i:])
		require.Equal(t, whole, parts)
		require.Equal(t, quit1, quit2)
		for line := range strings.Lines(whole) {
			require.True(t, strings.HasPrefix(line, "CLIENT_ERROR "), line)
		}
	})
}
