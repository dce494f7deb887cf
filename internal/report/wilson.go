package report

import "math"

// lowerBound is the lower end of the one-sided 95 % Wilson interval of k of n: what the share is at least, as far as so
// few can tell.
func lowerBound(k, n uint64) float64 {
	if n == 0 || k == 0 {
		return 0
	}
	const z = 1.645
	p, m := float64(min(k, n))/float64(n), float64(n)
	return (p + z*z/(2*m) - z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))) / (1 + z*z/m)
}
