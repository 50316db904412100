package loader_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

func TestVersionsSortAsTheyCompare(t *testing.T) {
	at := time.Unix(1700000000, 0)
	vs := []loader.Version{
		{Time: at, Writer: 1, Seq: 9}, {Time: at, Writer: 1, Seq: 10}, {Time: at, Writer: 2, Seq: 1},
		{Time: at.Add(1), Writer: 1, Seq: 2}, {Time: at.Add(time.Hour), Writer: 0, Seq: 0},
	}
	for i, v := range vs {
		require.Len(t, v.String(), 48)
		for k, w := range vs {
			require.Equal(t, v.Compare(w) < 0, i < k)
			require.Equal(t, v.Compare(w) < 0, v.String() < w.String())
		}
	}
}
