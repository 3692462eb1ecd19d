"""By which words a caption names COCO's classes 0 to 38, living things to sport, and by which it only seems to.

Our own lists, for captions of photographs, in the order of COCO's labels: `name: (words, exclusions)`, both separated
by commas. Words stand in the singular where they have one; regular plurals are understood. An exclusion is a phrase
which has such a word in it and yet means another thing ('hot dog'), a part or a place ('bus stop') or a deed ('ties
his' shoe); it, too, stands for its plural. What COCO's annotators hold to be of a class is named by its own words as
well: a panda is a bear to them, a tram a train. What they have put now here, now there (a van, a raft) names no class.
"""

WORDS = {
    "person": (
        "person, people, human, man, men, woman, women, boy, girl, child, children, kid, baby, toddler, guy, lady, "
        "gentleman, gentlemen, adults, teen, teenager, someone, somebody, pedestrian, crowd, spectator, tourist, "
        "passenger, player, athlete, batter, pitcher, catcher, umpire, referee, surfer, surf boarder, skier, "
        "snowboarder, snow boarder, skateboarder, skate boarder, skater, swimmer, runner, cyclist, bicyclist, biker, "
        "motorcyclist, rider, hiker, jockey, worker, officer, policeman, policemen, fireman, firemen, firefighter, "
        "soldier, businessman, businessmen, fisherman, fishermen, chef, waiter, waitress, student, teacher, doctor, "
        "farmer, cowboy, bride, groom, son, daughter, brother, sister, husband, wife, friend",
        "baby elephant, baby bear, baby polar bear, baby giraffe, baby zebra, baby cow, baby calf, baby sheep, "
        "baby lamb, baby goat, baby horse, baby bird, baby duck, baby animal, baby kitten, baby carrot, baby corn, "
        "baby carriage, baby stroller, baby bottle, baby bed, baby crib, baby blue, baby grand, its baby, "
        "mother and baby, furry friend, its friend, passenger train, passenger car, passenger bus, passenger jet, "
        "passenger jetliner, passenger plane, passenger airplane, passenger airliner, passenger aircraft, "
        "passenger boat, passenger ship, passenger ferry, passenger seat, passenger side, pitcher of, pitchers of, "
        "water pitcher, glass pitcher, catcher's mitt, catcher's glove, cd player, dvd player, record player, "
        "music player, video player, table runner, man made, snow man, gingerbread man, someone's, child's, "
        "children's, empty of people, cake batter, pancake batter",
    ),
    "bicycle": (
        "bicycle, bike, tricycle",
        "motor bike, dirt bike, quad bike, sport bike, police bike, exercise bike, stationary bike, bike lane, "
        "bicycle lane, bike path, bicycle path, bike trail, bike route, bike helmet, bicycle helmet, bike shop, "
        "bicycle shop, bike sign, bicycle sign",
    ),
    "car": (
        "car, automobile, sedan, suv, taxi, cab, taxicab, minivan, jeep, limousine, limo, hatchback, convertible",
        "train car, cable car, street car, trolley car, tram car, subway car, rail car, railroad car, railway car, "
        "box car, freight car, cargo car, tank car, coal car, dining car, passenger car, bumper car, car seat, "
        "car wash, car dealership, car park, convertible couch, convertible sofa, water taxi, train cab, truck cab, "
        "cab of a, cab of the",
    ),
    "motorcycle": (
        "motorcycle, motorbike, motor cycle, motor bike, moped, scooter, motorscooter, dirt bike, dirtbike, "
        "sport bike, police bike, vespa, harley",
        "motorcycle helmet, motorcycle jacket, motorcycle gear, motorcycle shop, motorcycle sign, kick scooter, "
        "push scooter, razor scooter, mobility scooter",
    ),
    "airplane": (
        "airplane, aeroplane, plane, jet, jetliner, airliner, aircraft, biplane, seaplane",
        "jet ski, jet skier, jet skiing, water jet, jet of, jets of, jet black, jet stream, jet trail, "
        "aircraft carrier, airplane hangar",
    ),
    "bus": (
        "bus, busses, minibus, double decker, doubledecker",
        "bus stop, bus station, bus terminal, bus depot, bus shelter, bus lane, bus route, bus bench, bus sign, "
        "bus schedule, bus ticket, bus boy, double decker train, double decker sandwich",
    ),
    "train": (
        "train, locomotive, tram, subway, steam engine, streetcar, street car, railcar, trolley",
        "train track, train station, train depot, train platform, train yard, train tunnel, train bridge, train rail, "
        "train line, train crossing, train signal, train tie, train schedule, train terminal, train of, wedding train, "
        "trains a, trains the, trains his, trains her, subway station, subway platform, subway stop, subway tunnel, "
        "subway entrance, subway sandwich, subway restaurant, tram stop, tram station, tram line, trolley stop, "
        "luggage trolley, shopping trolley, food trolley",
    ),
    "truck": (
        "truck, pickup, firetruck, fire engine, lorry, tractor trailer, semi trailer, eighteen wheeler, 18 wheeler",
        "truck stop, truck driver, truck bed, hand truck, pickup game",
    ),
    "boat": (
        "boat, ship, sailboat, rowboat, motorboat, speedboat, houseboat, tugboat, canoe, kayak, yacht, ferry, barge, "
        "catamaran, dinghy, gondola",
        "boat house, boat dock, boat ramp, boat launch, boat yard, boat shed, boat trailer, gravy boat, banana boat, "
        "space ship, ship dock, ship yard, ferry wheel, ferry building, ski gondola, gondola lift",
    ),
    "traffic light": (
        "traffic light, traffic signal, traffic lamp, stoplight, stop light, signal light, crossing signal",
        "traffic light camera",
    ),
    "fire hydrant": ("hydrant, fire plug, fireplug", "hydrant cap"),
    "stop sign": ("stop sign, stopsign", "bus stop sign, train stop sign, tram stop sign"),
    "parking meter": ("parking meter, parking metre, coin meter", "parking meter app"),
    "bench": ("bench", "bench press, bench warmer, bench seat, work bench, piano bench"),
    "bird": (
        "bird, seagull, gull, pigeon, duck, duckling, goose, geese, swan, parrot, parakeet, cockatoo, cockatiel, "
        "macaw, canary, owl, eagle, hawk, falcon, vulture, crow, raven, sparrow, finch, robin, dove, hummingbird, "
        "woodpecker, kingfisher, pelican, flamingo, heron, egret, stork, peacock, ostrich, emu, penguin, rooster, hen, "
        "toucan, blackbird",
        "bird house, bird cage, bird feeder, bird bath, bird nest, bird's nest, bird seed, bird's eye, birds eye, "
        "bird eye, bird of paradise, bird watcher, bird watching, angry birds, rubber duck, toy duck, duck tape, "
        "duck boat, roast duck, peking duck, goose neck, robin hood, clay pigeon",
    ),
    "cat": (
        "cat, kitten, kitty, feline, tabby, siamese",
        "cat food, cat litter, cat bed, cat toy, cat tree, cat house, cat bowl, cat door, cat carrier, cat tail, "
        "cat fish, cat walk, cat in the hat, kitty litter, hello kitty, stuffed cat, siamese twin",
    ),
    "dog": (
        "dog, puppy, pup, canine, hound, doggy, doggie, poodle, dachshund, bulldog, terrier, corgi, beagle, chihuahua, "
        "pug, dalmatian, labrador, retriever, collie, husky, sheepdog, mutt, german shepherd, rottweiler, pit bull, "
        "pitbull, yellow lab, black lab, chocolate lab",
        "hot dog, corn dog, chili dog, chilli dog, chicago dog, veggie dog, prairie dog, downward dog, dog house, "
        "dog food, dog bowl, dog dish, dog bed, dog toy, dog collar, dog leash, dog park, dog bone, dog biscuit, "
        "dog treat, dog crate, dog kennel, dog door, dog tag, dog bun, toy dog, stuffed dog, hush puppy",
    ),
    "horse": (
        "horse, pony, foal, mare, stallion, colt, racehorse",
        "rocking horse, saw horse, sea horse, hobby horse, pommel horse, toy horse, stuffed horse, horse shoe, "
        "horse trailer, horse stable, horse stall, horse barn, horse track, horse radish, pony tail",
    ),
    "sheep": (
        "sheep, lamb, ewe",
        "sheep dog, sheep skin, stuffed sheep, stuffed lamb, lamb chop, lamb meat, lamb stew, lamb shank, leg of lamb, "
        "rack of lamb, roast lamb, roasted lamb",
    ),
    "cow": (
        "cow, cattle, bull, calf, ox, oxen, heifer, longhorn",
        "pit bull, bull dog, bull dozer, bull terrier, bull frog, bull horn, bull moose, bull elephant, bull pen, "
        "bull's eye, bulls eye, red bull, chicago bulls, cow boy, cow girl, cow hide, cow skin, cow print, cow bell, "
        "sea cow, stuffed cow, cattle dog, calf muscle, elephant calf, giraffe calf, elephant and calf, "
        "elephant and her calf, elephant with her calf, elephant with calf, giraffe and calf",
    ),
    "elephant": ("elephant", "elephant seal, elephant ear, stuffed elephant, toy elephant"),
    "bear": (
        "bear, grizzly, panda",
        "teddy bear, stuffed bear, toy bear, plush bear, care bear, gummy bear, honey bear, pooh bear, yogi bear, "
        "build a bear, wooden bear, bear doll, bear toy, bear claw, bear hug, bear rug, bear skin, bear suit, "
        "bear mascot, stuffed animal bear, stuffed panda, red panda, chicago bears, bears fruit",
    ),
    "zebra": (
        "zebra",
        "zebra crossing, zebra crosswalk, zebra print, zebra stripe, zebra striped, zebra pattern, zebra skin, "
        "zebra hide, stuffed zebra",
    ),
    "giraffe": ("giraffe", "giraffe print, giraffe pattern, stuffed giraffe, toy giraffe"),
    "backpack": ("backpack, back pack, rucksack, knapsack, book bag, bookbag", "backpack store"),
    "umbrella": ("umbrella, parasol", "umbrella stand, umbrella hat, umbrella tree, cocktail umbrella, drink umbrella"),
    "handbag": (
        "handbag, hand bag, purse, pocketbook, shoulder bag, tote bag",
        "coin purse, purse her lips, purse his lips, purses her lips, purses his lips",
    ),
    "tie": (
        "tie, necktie, bowtie",
        "tie a, tie an, tie the, tie his, tie her, tie their, tie it, tie up, tie down, tie to, ties to, ties a, "
        "ties an, ties the, ties his, ties her, ties their, ties it, ties up, ties down, to tie, tie together, "
        "tie dye, tie dyed, tie wrap, tie rack, tie game, zip tie, twist tie, cable tie, hair tie, train tie, "
        "railroad tie, railway tie, wooden tie",
    ),
    "suitcase": (
        "suitcase, suit case, luggage, baggage",
        "luggage cart, luggage rack, luggage claim, luggage tag, luggage trolley, luggage compartment, luggage area, "
        "luggage belt, baggage claim, baggage cart, baggage area, baggage handler, baggage truck, baggage belt",
    ),
    "frisbee": (
        "frisbee, frisbie, frizbee, frisby, flying disc, flying disk",
        "frisbee golf, frisbee field, frisbee basket",
    ),
    "skis": (
        "ski, skiis, on skies",
        "ski slope, ski lift, ski resort, ski pole, ski mask, ski boot, ski jump, ski suit, ski gear, ski jacket, "
        "ski coat, ski pants, ski goggles, ski helmet, ski hat, ski outfit, ski trail, ski run, ski lodge, ski hill, "
        "ski track, ski course, ski race, ski area, ski mountain, ski path, ski ramp, ski patrol, ski instructor, "
        "ski school, ski lesson, ski team, ski shop, ski gondola, ski park, ski competition, ski trip, ski board, "
        "ski mobile, jet ski, water ski",
    ),
    "snowboard": (
        "snowboard, snow board",
        "snowboard boot, snowboard park, snowboard ramp, snowboard slope, snowboard jump, snowboard gear, "
        "snowboard competition, snowboard shop",
    ),
    "sports ball": (
        "ball, baseballs, basketballs, footballs, volleyballs, softballs",
        "ball game, ball field, ball park, ball player, ball team, ball cap, ball court, ball boy, ball girl, "
        "ball room, ball gown, ball pit, ball point, ball of, balls of, ball hat, meat ball, cheese ball, rice ball, "
        "dough ball, popcorn ball, cotton ball, crystal ball, disco ball, wrecking ball, snow ball, eye ball, "
        "hair ball, christmas ball, glass ball",
    ),
    "kite": ("kite", "kite shop, kite store"),
    "baseball bat": (
        "bat",
        "fruit bat, vampire bat, flying bat, stuffed bat, bat man, bat woman, bat boy, bat girl, bat wing, bat mobile, "
        "bat signal, bat cave, bats his, bats her",
    ),
    "baseball glove": (
        "baseball glove, softball glove, ball glove, catcher's glove, catchers glove, mitt, baseball mit",
        "oven mitt, kitchen mitt, cooking mitt, winter mitt",
    ),
    "skateboard": (
        "skateboard, skate board",
        "skateboard park, skate board park, skateboard ramp, skate board ramp, skateboard rink, skateboard course, "
        "skateboard area, skateboard bowl, skateboard competition, skateboard shop, skateboard helmet",
    ),
    "surfboard": (
        "surfboard, surf board, boogie board, boogieboard, body board, bodyboard, paddle board, paddleboard",
        "surfboard shop, surf board shop, surfboard rack, surfboard leash",
    ),
    "tennis racket": (
        "racket, racquet, raquet",
        "badminton racket, badminton racquet, squash racket, squash racquet, ping pong racket, racket ball, "
        "racquet ball, making a racket",
    ),
}
