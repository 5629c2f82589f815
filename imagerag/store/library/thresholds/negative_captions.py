"""Captions unrelated to most libraries: the negatives of calibration.

They cover many subjects, scenes, materials and styles, so that only a few can match the content of any one library.
They were written for this purpose; changing them changes calibrated thresholds a little.
"""

NULL_CAPTIONS = (
    # animals and plants
    "a tabby cat asleep on a windowsill", "a herd of elephants crossing a dry river",
    "a close-up of a bumblebee on clover",
    "a goldfish in a round glass bowl", "a flock of starlings at dusk", "two horses grazing behind a wooden fence",
    "a hedgehog in fallen leaves", "an owl perched on a mossy branch", "a school of clownfish around an anemone",
    "a sheepdog running through snow", "a lizard on a hot rock", "a cow looking into the camera",
    "a peacock spreading its tail", "a snail on a wet lettuce leaf", "a whale breaching near a boat",
    "an old oak tree in a meadow", "a cactus in a clay pot", "rows of tulips in a field",
    "a spider web covered in dew", "mushrooms growing on a fallen log",
    # people and what they do
    "a man shaving in front of a mirror", "children building a sandcastle", "a surgeon washing her hands",
    "a crowd cheering at a concert", "an old woman knitting in an armchair", "a chess player thinking about a move",
    "a firefighter climbing a ladder", "a couple dancing in a kitchen", "a barber cutting a boy's hair",
    "a marathon runner crossing the finish line", "a toddler eating spaghetti", "a violinist tuning her instrument",
    "a fisherman mending a net", "a teacher writing on a blackboard", "a group selfie at a birthday party",
    "a skateboarder in mid air", "a welder with sparks flying", "a bride holding a bouquet",
    "a boxer resting in the corner of the ring", "a baby's hand holding a finger",
    # food
    "a bowl of ramen with a soft egg", "a slice of chocolate cake on a plate", "freshly baked bread cooling on a rack",
    "sushi arranged on a wooden board", "a cup of coffee with latte art", "a market stall full of spices",
    "grilled corn with butter", "a jar of pickled cucumbers", "pancakes with blueberries and syrup",
    "a cheese platter with grapes", "a pot of soup boiling over", "an avocado cut in half",
    "dumplings in a bamboo steamer", "a glass of red wine by candlelight", "ice cream melting in the sun",
    # buildings and cities
    "a gothic cathedral seen from below", "a narrow alley with laundry hanging across",
    "a skyscraper under construction",
    "a lighthouse in a storm", "an abandoned factory hall", "a covered wooden bridge",
    "a subway platform at rush hour", "a thatched cottage with a garden", "the dome of a mosque at night",
    "a parking garage with flickering lights", "a windmill beside a canal", "rooftops of an old town from above",
    "a hotel lobby with a chandelier", "a library reading room with green lamps", "a petrol station in the desert",
    # nature and weather
    "a waterfall in a rainforest", "lightning over a dark sea", "a glacier calving into a fjord",
    "sand dunes at sunrise", "a frozen lake with cracks in the ice", "a double rainbow over hills",
    "fog in a pine forest", "a volcano erupting at night", "terraced rice fields", "a tornado on the horizon",
    "a coral reef seen from above", "the milky way over mountains", "a cave with stalactites",
    "autumn leaves floating on a pond", "cliffs with nesting seabirds",
    # vehicles and machines
    "a steam locomotive leaving a station", "a rusty tractor in a barn", "a sailing boat leaning in the wind",
    "a helicopter landing on a roof", "a bicycle locked to a lamp post", "a cargo ship full of containers",
    "the cockpit of an airliner", "a yellow school bus in the rain", "an excavator digging a trench",
    "a hot-air balloon being inflated", "a motorcycle racing through a bend", "a satellite above the earth",
    "the gears of a mechanical watch", "a robot arm in a car factory", "a cable car above a valley",
    # things in a house
    "an unmade bed with white sheets", "a stack of old suitcases", "a typewriter with a sheet of paper",
    "a leather armchair by the fireplace", "a toothbrush in a glass", "a bunch of keys on a hook",
    "a sewing machine with blue thread", "an umbrella drying in a hallway", "a vacuum cleaner on a carpet",
    "a bathtub full of foam", "a bookshelf with a ladder", "a pair of muddy boots", "a broken vase on the floor",
    "a grand piano with the lid open", "a refrigerator covered with magnets", "a ceiling fan seen from below",
    # documents, screens and signs
    "a handwritten love letter", "a world map with pins", "a bar chart of quarterly sales", "a page of sheet music",
    "a train ticket punched twice", "a screenshot of a weather app", "an X-ray of a broken arm",
    "a crossword puzzle half solved", "a medieval manuscript with gold initials", "a floor plan of an apartment",
    "a neon sign of a bar", "a passport with many stamps", "a comic strip with four panels", "a circuit board",
    # art and style
    "a watercolour of a harbour", "an impressionist painting of a garden party", "a marble bust of a philosopher",
    "a charcoal portrait of a young man", "a stained-glass window with a saint", "graffiti on a concrete wall",
    "an origami crane", "a Japanese woodblock print of a wave", "a black-and-white photograph of a dancer",
    "a woven tapestry of a hunt", "a cubist still life with a guitar", "a clay mask with hollow eyes",
    "pixel art of a spaceship", "an embroidered cushion with birds",
    # sports, science and odd ones
    "a football goalkeeper diving for the ball", "a swimmer under water", "a tennis racket with a broken string",
    "a telescope in an observatory", "bacteria under a microscope", "a dinosaur skeleton in a museum",
    "a magician pulling a rabbit out of a hat", "fireworks above a river", "a snow globe with a tiny village",
    "a scarecrow in a cornfield", "a carousel with painted horses", "an astronaut floating in space",
    "a chess board in the middle of a game", "a candle burning in a skull",
)  # fmt: skip
