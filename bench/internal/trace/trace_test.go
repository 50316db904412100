package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func gzipped(t testing.TB, s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func zstded(t testing.TB, s string) string {
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	defer w.Close()
	return string(w.EncodeAll([]byte(s), nil))
}

func readAll(name, content string) ([]Record, error) {
	r, err := NewReader(name, strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []Record
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, rec)
	}
}

const csv = "0,q:q:1:8WTfjZU14ee,17,213,5,get,0\n3,a,b,3,9,c77,set,3600\r\n4,x,1,0,0,incr,0"

func TestFormatsAndCompressions(t *testing.T) {
	for name, content := range map[string]string{"plain": csv, "gzip": gzipped(t, csv), "zstd": zstded(t, csv)} {
		recs, err := readAll(name, content)
		require.NoError(t, err, name)
		require.Len(t, recs, 3)
		assert.Equal(t, Record{Key: "q:q:1:8WTfjZU14ee", ValueSize: 213, Client: 5}, recs[0])
		assert.Equal(t, "a,b", recs[1].Key, "a key may hold a comma")
		assert.Equal(t, Record{Time: 3, Key: "a,b", ValueSize: 9, Client: recs[1].Client, Op: Set, TTL: 3600}, recs[1])
		assert.Equal(t, Incr, recs[2].Op)
	}
	recs, err := readAll("keys", "0\n1\n0\n18446744073709551615\n")
	require.NoError(t, err)
	assert.Len(t, recs, 4)
	assert.Equal(t, "18446744073709551615", recs[3].Key)
}

func TestEveryOperationIsKnown(t *testing.T) {
	for op := range ops {
		recs, err := readAll("x", "1,k,1,1,1,"+op.String()+",0\n")
		require.NoError(t, err)
		assert.Equal(t, op, recs[0].Op)
	}
	assert.Equal(t, "op 200", Op(200).String())
}

func TestErrorsSayFileAndLine(t *testing.T) {
	cut := gzipped(t, strings.Repeat("12345\n", 100))
	for name, c := range map[string]struct{ content, want string }{
		"empty":           {"", "t:1: the trace is empty"},
		"letters":         {"1\n2\nx7\n", "t:3: want the number of a key, have \"x7\""},
		"blank line":      {"1\n\n2\n", "t:2: want the number of a key"},
		"negative":        {"-1\n", "t:1: want the number"},
		"binary":          {"\x00\x01\x02\n", "t:1: want the number"},
		"huge value":      {"1,k,1,1048577,1,set,0\n", "t:1: value size 1048577: more than 1048576"},
		"few fields":      {"1,k,1,1,1,get,0\n1,k,1,1,get,0\n", "t:2: want 7 fields"},
		"one comma":       {",\n", "t:1: want 7 fields"},
		"bad time":        {"x,k,1,1,1,get,0\n", "t:1: timestamp"},
		"bad key size":    {"1,k,x,1,1,get,0\n", "t:1: key size"},
		"bad value size":  {"1,k,1,-1,1,get,0\n", "t:1: value size"},
		"huge value size": {"1,k,1,99999999999,1,get,0\n", "t:1: value size"},
		"bad op":          {"1,k,1,1,1,fetch,0\n", "t:1: unknown operation \"fetch\""},
		"bad TTL":         {"1,k,1,1,1,get,\n", "t:1: TTL"},
		"empty key":       {"1,,1,1,1,get,0\n", "t:1: the key is empty"},
		"key with space":  {"1,a b,1,1,1,get,0\n", "t:1: the key holds a space"},
		"long key":        {"1," + strings.Repeat("k", 251) + ",1,1,1,get,0\n", "t:1: the key has 251 bytes"},
		"long line":       {"1\n" + strings.Repeat("9", MaxLine+2), "t:2: line longer than"},
		"endless line":    {strings.Repeat("9", 1<<17), "t:1: line longer than"},
		"gzip cut off":    {cut[:len(cut)-6], ": the compressed file ends in the middle"},
		"gzip damaged":    {cut[:15] + "zzzz" + cut[19:], "t:1: cannot read on"},
		"gzip head":       {"\x1f\x8b\x00", "t:1: damaged gzip header"},
		"zstd damaged":    {"\x28\xb5\x2f\xfd\xff\xff\xff", "t:1:"},
	} {
		_, err := readAll("t", c.content)
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), c.want, name)
		var e *Error
		require.True(t, errors.As(err, &e), name)
		assert.Equal(t, "t", e.File)
		assert.NotContains(t, err.Error(), "\n", name)
	}
}

func TestOpenErrors(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none.gz"))
	assert.ErrorContains(t, err, "does not exist")
	_, err = Open(t.TempDir())
	assert.ErrorContains(t, err, "is a folder")
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.csv")
	require.NoError(t, os.WriteFile(path, []byte("1,a,1,10,1,get,0\n1,b,1,5,1,set,60\n2,a,1,30,1,get,0\nbroken\n"), 0o644))
	tr, err := Load(path, 3, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, tr.Keys)
	assert.Equal(t, []uint32{30, 5}, tr.Size)
	assert.Equal(t, []Request{{0, 10, 0, Get}, {1, 5, 60, Set}, {0, 30, 0, Get}}, tr.Reqs)
	tr, err = Load(path, 0, nil)
	assert.Nil(t, tr)
	assert.ErrorContains(t, err, "t.csv:4: want 7 fields")
}

// TestRealTraces reads the recorded traces that developers and CI keep beside the
// checkout; their figures are known from their description.
func TestRealTraces(t *testing.T) {
	for _, c := range []struct {
		file           string
		limit          int
		requests, keys int
	}{{"web12.keys.gz", 0, 95_607, 13_756}, {"orm-busy.keys.gz", 200_000, 200_000, 0}} {
		path := filepath.Join("..", "..", "..", "..", "shared", "data", c.file)
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing", c.file)
			}
			t.Skip("the recorded traces in ../shared/data are not here")
		}
		tr, err := Load(path, c.limit, nil)
		require.NoError(t, err)
		assert.Len(t, tr.Reqs, c.requests)
		if c.keys > 0 {
			assert.Len(t, tr.Keys, c.keys)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{"1\n2\n", csv, "\x1f\x8b\x00", gzipped(f, csv), zstded(f, "1\n"), ",,,,,,\n", dump, watched} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader("f", bytes.NewReader(in))
		if err != nil {
			return
		}
		defer r.Close()
		for range 1000 {
			rec, err := r.Next()
			if err != nil {
				return
			}
			require.NoError(t, checkKey(rec.Key))
			require.Less(t, rec.Op, ops)
		}
	})
}
