package client_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plantedBug is a mistake that the tests must find: a piece of the source, which occurs once, and what it is replaced by.
type plantedBug struct {
	name, file, right, wrong string
	test                     string // that finds it
}

// simulated are tests that play one seed after the other until one fails.
const (
	simulatedFaults  = "TestSimulatedFaults"
	simulatedChanges = "TestSimulatedChanges"
)

var plantedBugs = []plantedBug{
	{"fills are stored without their token", "fill.go",
		"k.Req, k.Under = *req, tok.Life\n\tk.Req.Flags |= memproto.FlagC\n\tk.Req.CAS = tok.CAS\n", "k.Req, k.Under = *req, tok.Life\n", simulatedFaults},
	{"a delete reaches the owner first", "topology.go",
		"if len(all) > 1 {\n\t\t\tdst = append(dst, all[1:])\n\t\t}\n\t\treturn append(dst, all[:1])",
		"dst = append(dst, all[:1])\n\t\tif len(all) > 1 {\n\t\t\tdst = append(dst, all[1:])\n\t\t}\n\t\treturn dst", simulatedFaults},
	{"a node that did not hear a delete is owed nothing", "mend.go",
		"ok := n.debt.Owe(key, time.Now(), pause)", "ok := pause >= 0", simulatedFaults},
	{"debt is forgiven to a process that may be as old as it", "rejoin.go",
		"n.debt.ForgiveBefore(p.started.Add(-startLate))", "n.debt.ForgiveBefore(p.started.Add(startLate))", simulatedFaults},
	{"copies are revived without a token", "revive.go",
		"k.Req.Flags |= memproto.FlagC\n\t\t\tk.Req.CAS = rs[i].tok.CAS\n", "", "TestRule4ADeleteDuringReviving"},
	{"changes are switched at once", "membership.go",
		"now.Sub(newest.learned) >= announce", "!now.Before(newest.learned)", simulatedChanges},
	{"announced copies are not deleted from", "topology.go",
		"for _, p := range t.next {\n\t\tadd(p, nil)\n\t}\n", "", simulatedChanges},
	{"past copies are not deleted from", "topology.go",
		"if t.past[i].told {\n\t\t\tadd(t.past[i].placement, &t.past[i])\n", "if t.past[i].told && t.past[i].left {\n\t\t\tadd(t.past[i].placement, &t.past[i])\n", simulatedChanges},
	{"a list is forgotten when a newer one is announced", "membership.go",
		"m.next = append(m.next, p)\n", "m.next = []*placement{p}\n", simulatedChanges},
	{"lists are settled an Announce early", "settle.go",
		"surely, maybe := when(announce), when(0)", "surely, maybe := when(-announce), when(-announce)", simulatedChanges},
	{"an owner that was a copy is filled without hold", "restore.go",
		"if owner && !t.shared(hash, home) {", "if owner {", "TestRule17ADeleteThatHasPassedTheNewOwner"},
	{"a write-through leaves the past copies alone", "fill.go",
		"w.strays(ctx, before)\n\tif settled() {", "_ = before\n\tif settled() {", simulatedChanges},
	{"a write-through leaves the announced copies alone", "fill.go",
		"w.strays(ctx, after)\n\tw.catchUp(ctx, t, hash)\n", "_ = after\n", simulatedChanges},
	{"a process that starts takes no lists", "newcomer.go",
		"c.inform(l, l.age(time.Now(), left))", "_ = l", simulatedChanges},
	{"counters run while others may take another node for the owner", "rmw.go",
		"if t.handingOver(hash) && !c.cfg.FailoverRMW {", "if t.handingOver(hash) && c.cfg.FailoverRMW {", "TestRule17CountersMove"},
	{"deletes go by a past list for as long as others wait for that", "topology.go",
		"if t.past[i].told {\n\t\t\tadd(t.past[i].placement, &t.past[i])\n", "if !t.past[i].left {\n\t\t\tadd(t.past[i].placement, &t.past[i])\n", "TestRule17TheOrderEndsBeforeTheWaiting"},
	{"what a node has missed is not looked at again once there is a connection", "exec.go",
		"if read && n.barred() {", "if read && n.barred() && false {", "TestRule17ALookBeforeTheNodeWasMet"},
	{"a restored copy is stored without its token", "restore.go",
		"f := n.launch(ctx, op, n.storeUnder(&req, tok))", "k := n.newCall()\n\tk.Req = req\n\tf := n.launch(ctx, op, k)", "TestRule4ADeleteDuringRestoring"},
	{"copies are revived without hold", "revive.go",
		"waiting = append(waiting, flock{time.Now().Add(hold), won})", "waiting = append(waiting, flock{time.Now(), won})", "TestRule4ADeleteThatHasPassedTheCopy"},
	{"a key is read where a delete of it is owed", "home.go",
		"!n.breaker.Readable() || n.debt.Blocks(key) || c.cold", "!n.breaker.Readable() || c.cold", "TestRule7ACopyWithAWriteUnderWayIsNotRead"},
	{"a read falls between the gutter and a node that comes up", "read.go",
		"if c.between(hash, err) {", "if c.between(hash, err) && false {", "TestGutterWhileTheNodeComesUp"},
	{"who has read does not look once more whether the node has a new epoch", "home.go",
		"case c.cold.nodes.Load() > 0:\n\t\treturn c.trusted", "case c.cold.nodes.Load() > 1<<30:\n\t\treturn c.trusted", "TestRule7NothingDeletedIsReadBackByGet"},
	{"what others still look for elsewhere counts no longer than this client looks there", "taint.go",
		"return p.source || p.told", "return p.source", "TestRule7NothingDeletedIsReadBackByWhoMovedFirst"},
	{"a late delete whose caller has left is not made again", "delete.go",
		"if k.Err == nil && time.Since(d.began) > hold {", "if k.Err == nil && time.Since(d.began) > hold && false {", "TestRule4AnAbandonedDeleteThatIsLate"},
	{"a lock is granted though its old owner could not be asked", "lookaround.go",
		"found = foundUnclear\n\t\t\t}\n\t\tcase sound", "found = foundNothing\n\t\t\t}\n\t\tcase sound", "TestRule10ALockThatCannotBeSeen"},
	{"payments don't wait for the fence", "fence.go",
		"for n.breaker.Writable() && !n.fence() {", "for n.breaker.Writable() && n.fence() && false {", "TestRule13ALateWriteIsUndone"},
	{"a node is read as soon as its debt is paid", "rejoin.go",
		"if !fresh {\n\t\treturn n.c.cfg.rejoinDelay()", "if !fresh {\n\t\treturn 0", "TestRule15OthersPayBeforeANodeIsRead"},
	{"a read that an own write has overtaken is held in memory", "read.go",
		"c.observe(&f, &k.Answer, hash, key, gen)", "c.observe(&f, &k.Answer, hash, key, c.near.Generation(hash))", "TestRule19AWriteRefusesReadsUnderWay"},
	{"memory forgets what a set replaces only before it is sent", "write.go",
		"c.near.Drop(hash, it.Key)\n\tdefer c.wrote(hash, it.Key)", "c.near.Drop(hash, it.Key)", "TestRule19OwnWritesDropBeforeAndAfter"},
	{"values that another process is refreshing are held in memory", "near.go",
		"(memproto.FlagX|memproto.FlagW|memproto.FlagZ) != 0 || isStub", "(memproto.FlagX|memproto.FlagW) != 0 || isStub", "TestRule19WhatIsNeverHeld"},
	{"memory outlives a change of membership", "membership.go", "c.near.DropAll()\n", "", "TestRule19MembershipVoids"},
	{"a sweep keeps the right to refresh a value", "sweep.go", "c.handBack(c.ctx, f, a, e.Key)", "_ = f", "TestRule6ASweepHandsTheRightBack"},
	{"suffix copies live longer than they may be old", "scatter.go",
		"life := c.scattering.cfg.Staleness - scatterStub*time.Second", "life := c.scattering.cfg.Staleness + scatterStub*time.Second", "TestScatterAtTheEdgeOfItsBound"},
	{"suffix copies are read as soon as their key is scattered", "scatter.go",
		"int64(time.Since(c.born)+x.cfg.Staleness))\n\t}\n}", "int64(time.Since(c.born)))\n\t}\n}", "TestScatterBeginsWithOwnWritesSeen"},
}

var failedSeed = regexp.MustCompile(`seed (\d+)`)

// TestPlantedBugsAreFound plants each bug in a copy of its file, builds these tests with that, and has the one that is named
// find it. That takes minutes, so that only `make soak-planted` does it; without, it sees that the bugs can still be planted.
func TestPlantedBugsAreFound(t *testing.T) {
	dig := os.Getenv("MEMHERD_PLANTED") != ""
	for _, bug := range plantedBugs {
		source, err := os.ReadFile(bug.file)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(source), bug.right), "%s: where to plant it in %s", bug.name, bug.file)
		if !dig {
			continue
		}
		t.Run(bug.name, func(t *testing.T) {
			dir := t.TempDir()
			path, err := filepath.Abs(bug.file)
			require.NoError(t, err)
			bad, overlay, binary := filepath.Join(dir, bug.file), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "planted.test")
			require.NoError(t, os.WriteFile(bad, []byte(strings.Replace(string(source), bug.right, bug.wrong, 1)), 0o600))
			replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: bad}})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(overlay, replace, 0o600))
			out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput()
			require.NoError(t, err, "%s", out)
			run := exec.CommandContext(t.Context(), binary, "-test.run", fmt.Sprintf("^%s$", bug.test), "-test.timeout", "20m")
			run.Env = append(os.Environ(), "MEMHERD_PLANTED=", "MEMHERD_SCALE=1", "MEMHERD_FIRST_SEED=0")
			out, err = run.CombinedOutput()
			var failed *exec.ExitError
			require.ErrorAs(t, err, &failed, "%s has not found it", bug.test)
			require.Contains(t, string(out), "--- FAIL: "+bug.test, "%s", out)
			if seed := failedSeed.FindSubmatch(out); seed != nil {
				t.Logf("found by %s with seed %s", bug.test, seed[1])
			} else {
				t.Logf("found by %s", bug.test)
			}
		})
	}
}
