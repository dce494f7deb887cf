package maillog

import (
	"bytes"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

// journaldConfig is the section of a journal.
type journaldConfig struct {
	Parsers  []config.Section `yaml:"parsers"`  // the MTAs' formats; default: all that log to a journal
	Users    []string         `yaml:"users"`    // who may log as the MTA beside root: names or numbers; default: its own account
	Programs []string         `yaml:"programs"` // further executables of the MTA, "*" matches anything
}

func init() {
	parsers.Register("journald", journaldConfig{}, buildJournald)
}

// journald reads entries of the systemd journal, each one line of `journalctl -o json`, and hands the messages of MTAs
// to the MTAs' parsers:
//
//	{"_UID":"101","_EXE":"/usr/lib/postfix/sbin/smtp","_SYSTEMD_UNIT":"postfix@-.service","SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"…",…}
//
// Any local user may write entries under any SYSLOG_IDENTIFIER; the fields with an underscore are journald's own word
// (systemd.journal-fields(7)). Of these only _UID proves who wrote: an executable of the MTA's may be run by anybody,
// with a library of his own preloaded, and commands of a ~/.forward run inside the MTA's unit. So:
//   - _UID must be root or the MTA's account.
//   - _EXE, and where it is missing _SYSTEMD_UNIT, must be the MTA's: programs that run as root log in others' names
//     (rsyslogd for remote hosts, dockerd for containers). Both are missing when a process ended before journald could
//     look; then _UID decides alone.
//
// The MTA's account is known by name on this machine; on another one, and where there is no such name, it is the system
// account under which an executable of the MTA's first logs from inside the MTA's unit.
type journald struct {
	config  journaldConfig
	mtas    []*journalReader
	entry   journalEntry
	header  event.Syslog      // of the record handed on
	strings map[string]string // identifiers and hosts, so as not to make them anew for each entry
	local   *localAccounts    // nil: not looked up yet
}

// A journalMTA is how the entries of an MTA are known. A "*" matches anything.
type journalMTA struct {
	format      string
	identifiers []string // as SYSLOG_IDENTIFIER begins
	units       []string // patterns of _SYSTEMD_UNIT
	programs    []string // patterns of _EXE
	accounts    []string // names of its own user
}

var journalMTAs = []journalMTA{
	{
		format: "postfix", identifiers: []string{"postfix"}, units: []string{"postfix.service", "postfix@*.service"},
		programs: []string{"*/postfix/*", "*/sbin/post*"}, accounts: []string{"postfix"},
	},
	{
		format: "exim", identifiers: []string{"exim"}, units: []string{"exim*.service"},
		programs: []string{"*/exim*"}, accounts: []string{"Debian-exim", "exim"},
	},
	{
		format: "sendmail", identifiers: []string{"sm-mta", "sendmail"}, units: []string{"sendmail.service"},
		programs: []string{"*/sendmail*"}, accounts: []string{"smmta"},
	},
	{
		format: "opensmtpd", identifiers: []string{"smtpd", "opensmtpd"}, units: []string{"opensmtpd.service", "smtpd.service"},
		programs: []string{"*/smtpd", "*/opensmtpd/*"}, accounts: []string{"opensmtpd", "opensmtpq", "smtpd", "smtpq", "_smtpd", "_smtpq"},
	},
}

// A journalReader reads the entries of one MTA.
type journalReader struct {
	journalMTA
	parser  parsers.Parser
	unit    patterns
	program patterns
	learned map[string]string // _UID of the MTA's account by _MACHINE_ID, where the name tells nothing
	fresh   []string          // machines learned since the last Changes
}

const whyNotTheMTA = "not_the_mta" // some other process wrote it

const (
	journalMaxLearned = 256  // machines
	journalMaxStrings = 1024 // identifiers, hosts, executables
)

func buildJournald(env config.Env, section config.Section, c *journaldConfig) (parsers.Parser, error) {
	wanted := c.Parsers
	if len(wanted) == 0 {
		for _, format := range journalFormats() {
			wanted = append(wanted, config.Section{Type: format})
		}
	}
	j := &journald{config: *c, strings: map[string]string{}}
	var errs []error
	for _, sub := range wanted {
		known := slices.IndexFunc(journalMTAs, func(m journalMTA) bool { return m.format == sub.Type })
		if known < 0 || slices.ContainsFunc(j.mtas, func(m *journalReader) bool { return m.format == sub.Type }) {
			errs = append(errs, section.Errorf("parsers", "%q: each of %s once", sub.Type, strings.Join(journalFormats(), ", ")))
			continue
		}
		parser, err := parsers.Modules.Build(env, sub)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		mta := journalMTAs[known]
		j.mtas = append(j.mtas, &journalReader{
			journalMTA: mta, parser: parser, learned: map[string]string{},
			unit: newPatterns(mta.units), program: newPatterns(slices.Concat(mta.programs, c.Programs)),
		})
	}
	return j, config.Join("", errs...)
}

func journalFormats() (formats []string) {
	for _, m := range journalMTAs {
		formats = append(formats, m.format)
	}
	return formats
}

// Parse implements Parser.
func (j *journald) Parse(rec event.Record, emit func(event.Event)) error {
	e := &j.entry
	if !e.decode(rec.Body) {
		return j.refuseUnread(rec)
	}
	m := j.mtaOf(e)
	if m == nil || len(e.identifier) == 0 {
		return nil
	}
	if !j.isGenuine(m, e) {
		if !m.wouldRead(e) {
			return nil
		}
		return event.Refuse(whyNotTheMTA, "a journal entry of _UID=%s _EXE=%s _SYSTEMD_UNIT=%s", e.uid, e.exe, e.unit)
	}
	if e.oversized {
		return event.Refuse(event.WhyTooLong, "journalctl left the message out")
	}
	j.header = event.Syslog{Tag: j.intern(e.identifier), Host: j.intern(e.host), PID: j.intern(e.process())}
	return m.parser.Parse(event.Record{Time: e.when(rec.Time), Syslog: &j.header, Body: e.message}, emit)
}

// refuseUnread says of a line that is no whole entry whether it would have been of interest.
func (j *journald) refuseUnread(rec event.Record) error {
	if !rec.Truncated {
		return event.Refuse(event.WhyMalformed, "no entry as journalctl -o json prints it")
	}
	for _, m := range j.mtas {
		for _, id := range m.identifiers {
			if bytes.Contains(rec.Body, []byte(`"SYSLOG_IDENTIFIER":"`+id)) {
				return event.Refuse(event.WhyTooLong, "a journal entry too long to be read")
			}
		}
	}
	return nil
}

// mtaOf tells by identifier and unit whose entry it claims to be.
func (j *journald) mtaOf(e *journalEntry) *journalReader {
	for _, m := range j.mtas {
		for _, id := range m.identifiers {
			if bytes.HasPrefix(e.identifier, []byte(id)) {
				return m
			}
		}
	}
	for _, m := range j.mtas { // an instance with a syslog_name of its own
		if len(e.unit) > 0 && m.unit.match(e.unit) && j.isGenuine(m, e) {
			return m
		}
	}
	return nil
}

// isGenuine says whether the MTA itself wrote e.
func (j *journald) isGenuine(m *journalReader, e *journalEntry) bool {
	switch {
	case len(e.exe) > 0 && !m.program.match(e.exe), len(e.exe) == 0 && len(e.unit) > 0 && !m.unit.match(e.unit):
		return false
	case string(e.uid) == "0":
		return true
	case len(j.config.Users) > 0:
		return j.accounts().has(j.config.Users, e.uid)
	case j.accounts().isHere(e.machine) && j.accounts().knows(m.accounts):
		return j.accounts().has(m.accounts, e.uid)
	}
	if owner, ok := m.learned[string(e.machine)]; ok {
		return owner == string(e.uid)
	}
	return m.learn(e)
}

// learn takes the account of e for the MTA's own, if it may be: the MTA's executable, run by its unit as a system account.
func (m *journalReader) learn(e *journalEntry) bool {
	const firstHuman = 1000 // UID_MIN of login.defs(5)
	uid := decimal(e.uid)
	if uid <= 0 || uid >= firstHuman || len(e.exe) == 0 || len(e.unit) == 0 || !m.unit.match(e.unit) || len(m.learned) >= journalMaxLearned {
		return false
	}
	m.learned[string(e.machine)] = string(e.uid)
	m.fresh = append(m.fresh, string(e.machine))
	return true
}

// wouldRead says whether the MTA's parser would make anything of e, where the parser can tell.
func (m *journalReader) wouldRead(e *journalEntry) bool {
	p, ok := m.parser.(interface {
		wouldRead(tag, message []byte) bool
	})
	return !ok || p.wouldRead(e.identifier, e.message)
}

// patterns are matched against the same few strings again and again.
type patterns struct {
	list  []string
	known map[string]bool
}

func newPatterns(list []string) patterns { return patterns{list, map[string]bool{}} }

// match says whether b fits any of the patterns.
func (p patterns) match(b []byte) bool {
	fits, ok := p.known[string(b)]
	if !ok {
		fits = slices.ContainsFunc(p.list, func(pattern string) bool { return text.Match(pattern, string(b)) })
		if len(p.known) >= journalMaxStrings {
			clear(p.known)
		}
		p.known[string(b)] = fits
	}
	return fits
}

func (j *journald) intern(b []byte) string {
	if s, ok := j.strings[string(b)]; ok {
		return s
	}
	if len(j.strings) >= journalMaxStrings {
		clear(j.strings)
	}
	s := string(b)
	j.strings[s] = s
	return s
}

func (j *journald) accounts() *localAccounts {
	if j.local == nil {
		j.local = newLocalAccounts()
	}
	return j.local
}

// What is stored: the memory of each MTA's parser under its format and "/"; the accounts learned under "account",
// format and machine.
const journalAccountKey = "account"

// Changes implements Stateful.
func (j *journald) Changes() map[string][]byte {
	changes := map[string][]byte{}
	for _, m := range j.mtas {
		for _, machine := range m.fresh {
			changes[strings.Join([]string{journalAccountKey, m.format, machine}, "/")] = []byte(m.learned[machine])
		}
		m.fresh = nil
		if s, ok := m.parser.(parsers.Stateful); ok {
			for key, value := range s.Changes() {
				changes[m.format+"/"+key] = value
			}
		}
	}
	return changes
}

// Load implements Stateful. What a parser stored that is configured no longer stays where it is.
func (j *journald) Load(state iter.Seq2[string, []byte]) error {
	for key, value := range withPrefix(state, journalAccountKey+"/") {
		j.loadAccount(key, value)
	}
	for _, m := range j.mtas {
		s, ok := m.parser.(parsers.Stateful)
		if !ok {
			continue
		}
		if err := s.Load(withPrefix(state, m.format+"/")); err != nil {
			return fmt.Errorf("parser %s: %w", m.format, err)
		}
	}
	return nil
}

// withPrefix gives those whose key begins with prefix, without it.
func withPrefix(state iter.Seq2[string, []byte], prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for key, value := range state {
			if rest, ok := strings.CutPrefix(key, prefix); ok && !yield(rest, value) {
				return
			}
		}
	}
}

// KeepStored implements parsers.Recaller.
func (j *journald) KeepStored(stored parsers.Stored) {
	for _, m := range j.mtas {
		if p, ok := m.parser.(parsers.Recaller); ok {
			p.KeepStored(storedPart{stored, m.format + "/"})
		}
	}
}

// storedPart is what one of several parsers has stored.
type storedPart struct {
	all    parsers.Stored
	prefix string
}

func (s storedPart) Value(key string) []byte        { return s.all.Value(s.prefix + key) }
func (s storedPart) All() iter.Seq2[string, []byte] { return withPrefix(s.all.All(), s.prefix) }

// Missed implements parsers.Misser.
func (j *journald) Missed() {
	for _, m := range j.mtas {
		if p, ok := m.parser.(parsers.Misser); ok {
			p.Missed()
		}
	}
}

// Flush implements parsers.Flusher.
func (j *journald) Flush(emit func(event.Event)) {
	for _, m := range j.mtas {
		if p, ok := m.parser.(parsers.Flusher); ok {
			p.Flush(emit)
		}
	}
}

func (j *journald) loadAccount(key string, uid []byte) {
	format, machine := filepath.Split(key)
	for _, m := range j.mtas {
		if m.format+"/" == format {
			m.learned[machine] = string(uid)
		}
	}
}
