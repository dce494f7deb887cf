package address

import "testing"

func TestPeel(t *testing.T) {
	for in, want := range map[string]string{
		"jo@example.org":                                               "jo@example.org",
		"prvs=1234567890=jo@example.org":                               "jo@example.org",
		"prvs=jo/1234567890@example.org":                               "jo@example.org",
		"btv1==0123456789==jo@example.org":                             "jo@example.org",
		"SRS0=Ab1c=2X=example.org=jo@fwd.example":                      "jo@example.org",
		"SRS0+Ab1c=2X=example.org=jo=x@fwd.example":                    "jo=x@example.org",
		"SRS1=Zz9y=fwd.example==Ab1c=2X=example.org=jo@second.example": "jo@example.org",
		"srs0=Ab1c=2X=example.org=prvs=1234567890=jo@fwd.example":      "jo@example.org",
		"SRS0=Ab1c@fwd.example":                                        "SRS0=Ab1c@fwd.example",
		"prvs=@fwd.example":                                            "prvs=@fwd.example",
		"SRS1=@":                                                       "SRS1=@",
		"no address":                                                   "no address",
		"SRS0=a=b=c.example=SRS0=a=b=d.example=jo@e.example":           "jo@d.example",
		"SRS0=Ab1c=2X=example.org=bounces+" + "5b5b5b5b-1111-4222-8333-555555555555" + "@f.example": "bounces+" + "5b5b5b5b-1111-4222-8333-555555555555" + "@example.org",
	} {
		if got := Peel(in); got != want {
			t.Errorf("%s peeled to %s, want %s", in, got, want)
		}
	}
}
