package desk

import "canopy/internal/mask"

// MaskPhone is what of a phone number those see who may not see it: country code and last four digits,
// "+55 •••• 1234".
func MaskPhone(number string) string { return mask.Phone(number) }

// MaskEmail is what of an e-mail address those see who may not see it: the first letter and the domain,
// "a•••@example.com".
func MaskEmail(address string) string { return mask.Email(address) }
