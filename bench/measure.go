package main

import (
	"fmt"
	"slices"
	"time"
)

// op does the measured thing once.
type op func() error

// sample is what a comparison found: medians of the time that the one and the other took.
type sample struct{ real, floor time.Duration }

func (s sample) ratio() float64 { return float64(s.real) / float64(s.floor) }

// stopwatch says for how long to measure.
type stopwatch struct {
	rounds int           // at least so many of each
	most   time.Duration // after that, as soon as there are three
	batch  time.Duration // what one round takes about
}

// compare does the two things in turns, A B A B, so that what else happens on the machine meets both. A round repeats
// the thing until the clock is fine enough for it.
func (w stopwatch) compare(real, floor op) (sample, error) {
	times := [2][]time.Duration{}
	var repeats [2]int
	for i, do := range []op{real, floor} {
		n, err := w.calibrate(do)
		if err != nil {
			return sample{}, err
		}
		repeats[i] = n
	}
	for began := time.Now(); ; {
		for i, do := range []op{real, floor} {
			took, err := repeat(do, repeats[i])
			if err != nil {
				return sample{}, err
			}
			times[i] = append(times[i], took)
		}
		n := len(times[0])
		if n >= w.rounds || n >= 3 && time.Since(began) > w.most {
			return sample{median(times[0]), median(times[1])}, nil
		}
	}
}

// calibrate warms up and says how often to repeat the thing in a round.
func (w stopwatch) calibrate(do op) (int, error) {
	n := 1
	for {
		took, err := repeat(do, n)
		switch {
		case err != nil:
			return 0, err
		case took*time.Duration(n) >= w.batch:
			return n, nil
		}
		n *= 2
	}
}

// repeat returns how long the thing takes once.
func repeat(do op, times int) (time.Duration, error) {
	began := time.Now()
	for range times {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return max(1, time.Since(began)/time.Duration(times)), nil
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// percentile returns the time that so many of a hundred stay below.
func percentile(times []time.Duration, p int) time.Duration {
	slices.Sort(times)
	return times[min(len(times)-1, len(times)*p/100)]
}

// short spells a time with three digits.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.2f µs", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
