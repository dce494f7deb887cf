package event

// Fate is what became of a record in Commit: by it a mailbox decides whether the message may be deleted.
type Fate int

// The fates of a record, the most cautious first.
const (
	Kept       Fate = iota // refused, held or not understood: somebody may want to look at it
	Unreported             // understood and of no interest: ordinary mail
	Understood             // a bounce, complaint, delay notice, automatic reply or the like
)
