package maillog

import (
	"errors"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
)

// inAngles is address.InAngles with a refusal for its error.
func inAngles(b []byte) (addr, rest []byte, err error) {
	addr, rest, err = address.InAngles(b)
	return addr, rest, refusedAddress(err)
}

// checkAddress refuses an address that a later reader could take for something else.
func checkAddress(a []byte) error { return refusedAddress(address.CheckLogged(a)) }

// refusedAddress counts what is wrong with an address under its word.
func refusedAddress(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, address.ErrTwoReadings):
		return event.Refuse(event.WhyTwoReadings, "%v", err)
	case errors.Is(err, address.ErrUnseen):
		return event.Refuse(event.WhyControlChars, "%v", err)
	case errors.Is(err, address.ErrTooLong):
		return event.Refuse(event.WhyTooLong, "%v", err)
	}
	return event.Refuse(event.WhyMalformed, "%v", err)
}
