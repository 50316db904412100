package discovery

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/ring"
)

// config is an answer with the list text.
func config(text string) string {
	return fmt.Sprintf("CONFIG cluster 0 %d\r\n%s\r\nEND\r\n", len(text), text)
}

func read(s string) (answer, error) {
	return readAnswer(bufio.NewReaderSize(strings.NewReader(s), maxLine))
}

func TestReadAnswer(t *testing.T) {
	two := ring.Addrs("mc.0001.use1.cache.amazonaws.com:11211", "mc.0002.use1.cache.amazonaws.com:11311")
	for name, c := range map[string]struct {
		text    string
		version uint64
		want    []ring.Node
	}{
		"names and addresses": {config("12\nmc.0001.use1.cache.amazonaws.com|10.0.0.1|11211 mc.0002.use1.cache.amazonaws.com|10.0.0.2|11311\n"), 12, two},
		"no addresses":        {config("0\nmc.0001.use1.cache.amazonaws.com.||11211 MC.0002.use1.cache.amazonaws.com||11311\n"), 0, two},
		"addresses only":      {config("1\n10.0.0.1|10.0.0.1|11211 |10.0.0.2|11212"), 1, ring.Addrs("10.0.0.1", "10.0.0.2:11212")},
		"IPv6":                {config("1\n|fd00::1|11211\n"), 1, ring.Addrs("[fd00::1]:11211")},
		"other line ends":     {config("1\r\na|1.2.3.4|11211\r\n"), 1, ring.Addrs("a")},
		"underscores":         {config("1\nmy_cache-1|1.2.3.4|11211\n"), 1, ring.Addrs("my_cache-1")},
		"the old key":         {strings.Replace(config("3\na|1.2.3.4|11211\n"), "CONFIG cluster", "VALUE AmazonElastiCache:cluster", 1), 3, ring.Addrs("a")},
		"no nodes":            {config("7\n\n"), 7, nil},
		"only a version":      {config("7"), 7, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(c.text)
			require.NoError(t, err)
			require.Equal(t, c.version, got.version)
			if c.want == nil {
				require.Empty(t, got.nodes)
				return
			}
			want, _, err := checkList(c.want)
			require.NoError(t, err)
			require.Equal(t, want, got.nodes)
		})
	}
}

func TestReadAnswerErrors(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"plain":                {"ERROR\r\n", errPlain},
		"no old key":           {"END\r\n", errPlain},
		"nothing":              {"", io.ErrUnexpectedEOF},
		"half a line":          {"CONFIG clus", io.ErrUnexpectedEOF},
		"an endless line":      {strings.Repeat("x", 2*maxLine), ErrMalformed},
		"another protocol":     {"HTTP/1.1 400 Bad Request\r\n", ErrMalformed},
		"another key":          {"VALUE other 0 2\r\n1\n\r\nEND\r\n", ErrMalformed},
		"flags":                {"CONFIG cluster x 2\r\n1\n\r\nEND\r\n", ErrMalformed},
		"length":               {"CONFIG cluster 0 x\r\n", ErrMalformed},
		"negative length":      {"CONFIG cluster 0 -1\r\n", ErrMalformed},
		"huge length":          {"CONFIG cluster 0 18446744073709551615\r\n", ErrMalformed},
		"over the limit":       {fmt.Sprintf("CONFIG cluster 0 %d\r\n", maxConfig+1), ErrMalformed},
		"cut":                  {"CONFIG cluster 0 100\r\n1\n", io.ErrUnexpectedEOF},
		"length too short":     {"CONFIG cluster 0 3\r\n1\na|1.2.3.4|11211\n\r\nEND\r\n", ErrMalformed},
		"length too long":      {"CONFIG cluster 0 20\r\n1\na|1.2.3.4|11211\n\r\nEND\r\n", ErrMalformed},
		"no END":               {"CONFIG cluster 0 2\r\n1\n\r\nMORE\r\n", ErrMalformed},
		"no version":           {config("\na|1.2.3.4|11211\n"), ErrMalformed},
		"version no number":    {config("new\na|1.2.3.4|11211\n"), ErrMalformed},
		"negative version":     {config("-1\na|1.2.3.4|11211\n"), ErrMalformed},
		"more lines":           {config("1\na|1.2.3.4|11211\nb|1.2.3.5|11211\n"), ErrMalformed},
		"two fields":           {config("1\na|11211\n"), ErrMalformed},
		"four fields":          {config("1\na|1.2.3.4|11211|x\n"), ErrMalformed},
		"no port":              {config("1\na|1.2.3.4|\n"), ErrMalformed},
		"port 0":               {config("1\na|1.2.3.4|0\n"), ErrMalformed},
		"port out of range":    {config("1\na|1.2.3.4|65536\n"), ErrMalformed},
		"no host":              {config("1\n||11211\n"), ErrMalformed},
		"a host that is none":  {config("1\na/b|1.2.3.4|11211\n"), ring.ErrBadAddress},
		"listed twice":         {config("1\na|1.2.3.4|11211 a|1.2.3.5|11211\n"), ring.ErrDuplicateNode},
		"one bad of many":      {config("1\na|1.2.3.4|11211 b|1.2.3.5|x c|1.2.3.6|11211\n"), ErrMalformed},
		"more than a ring has": {config("1\n" + many(ring.MaxNodes+1) + "\n"), ring.ErrTooManyNodes},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(c.text)
			require.ErrorIs(t, err, c.want)
			require.Empty(t, got.nodes)
		})
	}
	_, err := read("SERVER_ERROR out of memory\r\n")
	require.ErrorContains(t, err, "out of memory")
	require.NotErrorIs(t, err, errPlain)
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d||11211 ", i)
	}
	return b.String()
}

// Whatever an endpoint says, what is taken of it is a fleet, and no more is read than the
// answer has.
func FuzzReadAnswer(f *testing.F) {
	for _, s := range []string{
		config("1\na|1.2.3.4|11211 b||1\n"), config("1\n"), "ERROR\r\n", "END\r\n", "SERVER_ERROR x\r\n",
		"CONFIG cluster 0 4000000\r\n1\n", "CONFIG cluster 0 99999999999999999999\r\n", "VALUE AmazonElastiCache:cluster 0 2\r\n1\n\r\nEND\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		behind := []byte("version\r\n")
		r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(text), bytes.NewReader(behind)), maxLine)
		got, err := readAnswer(r)
		if err != nil {
			require.Empty(t, got.nodes)
			return
		}
		if len(got.nodes) > 0 {
			list, _, err := checkList(got.nodes)
			require.NoError(t, err)
			require.Equal(t, got.nodes, list)
		}
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.HasSuffix(append(bytes.Clone(text), behind...), rest))
		require.Contains(t, string(text[:len(text)+len(behind)-len(rest)]), "END")
	})
}
