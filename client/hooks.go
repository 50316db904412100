package client

import "time"

// Hooks observe a Client, for metrics and logs. Any of them may be nil. They are
// called without locks held, from the goroutine on which the event happened, and
// must return quickly; several may run at once. None may wait for a request of the same client: that may need the
// goroutine that the hook is on.
type Hooks struct {
	// NodeDown: the node's breaker opened, with the cause.
	NodeDown func(node string, cause error)
	// Quarantined: the node was down, has heard of all it is owed, and is not read for d more, so
	// that other clients can tell it what they owe it: see Config.RejoinDelay.
	Quarantined func(node string, d time.Duration)
	// NodeUp: the node is read again. paid is how many owed deletes it was told.
	NodeUp func(node string, paid int)
	// ConnLost: a connection died; the node may be well.
	ConnLost func(node string, cause error)
	// Owed: a write or delete did not reach the node's copy and was booked as debt.
	// depth is the number of keys owed now.
	Owed func(node string, depth int)
	// DebtOverflow: more than Config.DebtLimit keys are owed; the node is not read
	// until Readmit.
	DebtOverflow func(node string)
	// JournalFailed: Config.DebtJournal did not take what nodes are owed. It is tried again every
	// second.
	JournalFailed func(err error)
	// Failover: a read left the node for the next copy because of cause.
	Failover func(op, node string, cause error)
	// LeaseLost: a fill was refused because the key was deleted or written meanwhile.
	LeaseLost func(node string)
	// TierLearned: a connection was opened to a node whose server had not said before
	// what it is, or says something else now. version is what it calls itself.
	TierLearned func(node string, tier Tier, version string)
	// NodeSlow: reads go around the node where they can: its median of the last second was took,
	// several times that of the others.
	NodeSlow func(node string, took, others time.Duration)
	// EpochChanged: the node's memory was lost or flushed, or its sentinel evicted. Leases, CAS
	// tokens and near-cache entries from before are void.
	EpochChanged func(node string)
	// PlacementDiffers: another client of the node has placed keys differently for 10 s and
	// Config.Announce, so that they read what the other has deleted. The fingerprints are
	// those of ring.Ring.Fingerprint, in hexadecimal digits.
	PlacementDiffers func(node, ours, theirs string)
	// TopologyAnnounced: SetNodes was given another list, which reads will go by after
	// Config.Announce; the names of the nodes that will join and leave then.
	TopologyAnnounced func(joining, leaving []string)
	// TopologyChanged: reads go by the newest list from now on; the number of nodes in it.
	TopologyChanged func(nodes int)
}

func (h *Hooks) nodeDown(node string, cause error) {
	if h.NodeDown != nil {
		h.NodeDown(node, cause)
	}
}

func (h *Hooks) nodeUp(node string, paid int) {
	if h.NodeUp != nil {
		h.NodeUp(node, paid)
	}
}

func (h *Hooks) connLost(node string, cause error) {
	if h.ConnLost != nil {
		h.ConnLost(node, cause)
	}
}

func (h *Hooks) owedTo(node string, depth int) {
	if h.Owed != nil {
		h.Owed(node, depth)
	}
}

func (h *Hooks) overflowed(node string) {
	if h.DebtOverflow != nil {
		h.DebtOverflow(node)
	}
}

func (h *Hooks) quarantined(node string, d time.Duration) {
	if h.Quarantined != nil {
		h.Quarantined(node, d)
	}
}

func (h *Hooks) journalFailed(err error) {
	if h.JournalFailed != nil {
		h.JournalFailed(err)
	}
}

func (h *Hooks) failover(op, node string, cause error) {
	if h.Failover != nil {
		h.Failover(op, node, cause)
	}
}

func (h *Hooks) leaseLost(node string) {
	if h.LeaseLost != nil {
		h.LeaseLost(node)
	}
}

func (h *Hooks) nodeSlow(node string, took, others time.Duration) {
	if h.NodeSlow != nil {
		h.NodeSlow(node, took, others)
	}
}

func (h *Hooks) epochChanged(node string) {
	if h.EpochChanged != nil {
		h.EpochChanged(node)
	}
}

func (h *Hooks) placementDiffers(node, ours, theirs string) {
	if h.PlacementDiffers != nil {
		h.PlacementDiffers(node, ours, theirs)
	}
}

func (h *Hooks) topologyAnnounced(joining, leaving []*node) {
	if h.TopologyAnnounced == nil {
		return
	}
	names := func(nodes []*node) []string {
		var out []string
		for _, n := range nodes {
			out = append(out, n.Name)
		}
		return out
	}
	h.TopologyAnnounced(names(joining), names(leaving))
}

func (h *Hooks) tierLearned(node string, tier Tier, version string) {
	if h.TierLearned != nil {
		h.TierLearned(node, tier, version)
	}
}
