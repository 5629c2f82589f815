"""Captions unrelated to most libraries, none of them among those of calibration."""

from typing import Final

UNRELATED: Final = tuple(
    line.strip()
    for line in """
    a kitten tangled in a ball of wool
    two giraffes drinking at a waterhole
    a wasp nest under a roof
    a parrot eating a walnut
    a herd of reindeer in fog
    a frog sitting on a lily pad
    an anteater at dusk
    a swan with its young on a canal
    lichen on a granite wall
    a field of lavender in July
    a plumber under a kitchen sink
    a judge reading a verdict
    a girl blowing soap bubbles
    a referee showing a card
    two men carrying a sofa up the stairs
    a tailor measuring a sleeve
    a diver waving at a turtle
    a choir singing in a chapel
    a glassblower at the furnace
    a student asleep over her books
    a plate of oysters on ice
    a waffle with cream and cherries
    a butcher's window
    garlic hanging from a beam
    a lunch box with rice and egg
    a kettle whistling on a gas stove
    a loaf of rye bread cut open
    a milk jug on a checked tablecloth
    a beacon on a reef at night
    a railway bridge over a gorge
    an empty swimming pool in winter
    a Gothic cathedral at night
    a scrapyard full of rusty cars
    a greenhouse full of tomatoes
    a spiral staircase seen from above
    a harbour crane lifting a container
    a tunnel with wet walls
    a village square with plane trees
    an iceberg off a grey coast
    a rainbow over terraced hills
    a dry lake bed cracked by the sun
    a thunderhead above the plains
    a wave breaking on a pier
    a comet over a dark forest
    a tractor ploughing at dawn
    a tram in the rain
    a glider being towed into the air
    a motorbike leaning on a hedge
    a rowing boat pulled ashore
    an ambulance in heavy traffic
    a fountain pen on a torn envelope
    a chest of drawers with brass handles
    an hourglass on a marble shelf
    a toothbrush in a tumbler
    a cello in its open case
    a chainsaw on a workbench
    a map of the Alps with pins in it
    an X-ray of a hand
    a page of a medieval psalter
    a woodcut of a plague doctor
    """.splitlines()
    if line.strip()
)
