package generate

import (
	"fmt"
	"math/rand/v2"
)

// The names are made of parts that no map and no telephone book has side by side.
var (
	adjectives = []string{"Amber", "Brisk", "Copper", "Dappled", "Ember", "Frosty", "Golden", "Hazel", "Ivory", "Jolly", "Lilac", "Misty", "Nimble", "Ochre", "Plaid", "Quiet"}
	places     = []string{"Anvil", "Beacon", "Cove", "Dell", "Elbow", "Furrow", "Gable", "Hollow", "Inlet", "Jetty", "Knoll", "Ledge", "Meadow", "Nook", "Orchard", "Pier"}
	firstNames = []string{"Alder", "Bryony", "Clover", "Dahlia", "Elder", "Fern", "Gale", "Heath", "Ivy", "Juniper", "Linden", "Myrtle", "Nettle", "Oak", "Poppy", "Rowan"}
	lastNames  = []string{"Applecart", "Bumblethorpe", "Candlewick", "Dovetail", "Eggcupp", "Fiddlewood", "Gingerbread", "Hedgerow", "Inkwell", "Jackdaw", "Kettlewell", "Lanternjack", "Marchpane", "Nutcombe", "Otterburrow", "Paperclip"}
)

func pick(dice *rand.Rand, words []string) string { return words[dice.IntN(len(words))] }

// groupName names the nth child of a group: the number keeps siblings apart.
func groupName(dice *rand.Rand, n int) string {
	return fmt.Sprintf("%s %s %d", pick(dice, adjectives), pick(dice, places), n+1)
}

func personName(dice *rand.Rand) string { return pick(dice, firstNames) + " " + pick(dice, lastNames) }

// address returns an e-mail address under a domain that nobody can have.
func address(kind string, number int) string {
	return fmt.Sprintf("%s-%d@generated.example", kind, number)
}

// phone returns the nth of the numbers that are kept for fiction: 0100 to 0199 of exchange 555 in each area.
func phone(n int) string {
	const areas, each = 700, 100
	if n--; n >= areas*each {
		return ""
	}
	return fmt.Sprintf("+1%d55501%02d", 201+n/each, n%each)
}
