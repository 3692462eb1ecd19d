"""By which words a caption names COCO's classes 39 to 79, tableware to toothbrush, and by which it only seems to.

The lists are made as those of `coco_words_outdoors`: a hamburger is a sandwich to COCO's annotators, a urinal a toilet,
a computer screen a tv; a stool, a coffee table or a toaster oven they have put now here, now there.
"""

WORDS = {
    "bottle": (
        "bottle",
        "bottle cap, bottle opener, bottle top, bottle neck, bottle rocket, bottle brush, bottle rack, bottle green, "
        "bottle feed, bottle feeding, bottle fed, bottle nose",
    ),
    "wine glass": (
        "wine glass, wineglass, goblet, champagne glass, champagne flute, glass of wine, glasses of wine, "
        "glass of red wine, glasses of red wine, glass of white wine, glasses of white wine, glass of champagne, "
        "glasses of champagne",
        "wine glass rack, wine glass holder",
    ),
    "cup": (
        "cup, mug, teacup, tumbler, drinking glass, pint glass, beer glass, glass of water, glasses of water, "
        "glass of milk, glass of juice, glass of orange juice, glass of beer, glasses of beer, glass of tea, "
        "glass of iced tea, glass of soda, glass of lemonade",
        "cup cake, cup holder, cup board, cup dispenser, cup rack, world cup, stanley cup, davis cup, suction cup, "
        "mug shot, cups her, cups his",
    ),
    "fork": (
        "fork",
        "fork lift, fork truck, fork in the road, forks in the road, fork in a road, fork in the path, "
        "fork in the trail, pitch fork, tuning fork",
    ),
    "knife": ("knife", "knife sharpener, knife block, knife rack, knife holder, palette knife, putty knife"),
    "spoon": ("spoon, teaspoon, tablespoon", "spoon bill, spoon rest, spoon holder"),
    "bowl": (
        "bowl",
        "toilet bowl, bathroom bowl, super bowl, rose bowl, fish bowl, sink bowl, bowl sink, bowl cut, bowl haircut, "
        "bowl game, skate bowl, skating bowl, skateboard bowl, skateboarding bowl, skate board bowl, skate park bowl, "
        "concrete bowl, cement bowl",
    ),
    "banana": (
        "banana",
        "banana bread, banana split, banana pudding, banana muffin, banana nut muffin, banana cake, banana pie, "
        "banana cream, banana pancake, banana chip, banana smoothie, banana milkshake, banana pepper, banana leaf, "
        "banana tree, banana plant, banana peel, banana suit, banana hat, banana boat, banana seat, banana republic, "
        "banana sticker, banana phone, banana box",
    ),
    "apple": (
        "apple",
        "apple computer, apple laptop, apple desktop, apple monitor, apple keyboard, apple mouse, apple remote, "
        "apple logo, apple symbol, apple sticker, apple brand, apple product, apple device, apple store, apple phone, "
        "apple iphone, apple cell phone, apple ipod, apple ipad, apple imac, apple mac, apple macbook, apple tv, "
        "apple watch, apple tablet, apple notebook, apple smartphone, apple pie, apple sauce, apple juice, "
        "apple cider, apple crisp, apple cake, apple tart, apple turnover, apple fritter, apple butter, apple donut, "
        "apple tree, pine apple, big apple, adam's apple",
    ),
    "sandwich": (
        "sandwich, hamburger, burger, cheeseburger, panini, hoagie, blt",
        "sandwich board, sandwich shop, sandwich bag, sandwich sign, sandwich maker, sandwich press, sandwich meat, "
        "sandwich wrapper, ice cream sandwich, burger king, burger joint, burger bun, burger restaurant, "
        "hamburger bun, hamburger meat, hamburger patty",
    ),
    "orange": (
        "oranges, orange slice, orange wedge, orange half, orange segment, orange fruit, slice of orange, "
        "slices of orange, half an orange, half of an orange, peeled orange, sliced orange, cut orange, navel orange, "
        "mandarin orange, tangerine, clementine",
        "reds and oranges, yellows and oranges, pinks and oranges, oranges and reds, oranges and yellows, "
        "oranges and pinks, tangerine color, tangerine colored, mandarin orange chicken",
    ),
    "broccoli": (
        "broccoli, brocolli, brocoli, broccolli",
        "broccoli soup, cream of broccoli, broccoli cheese soup, broccoli rabe, broccoli plant",
    ),
    "carrot": (
        "carrot",
        "carrot cake, carrot juice, carrot soup, carrot bread, carrot muffin, carrot top, carrot nose, carrot peeler",
    ),
    "hot dog": (
        "hot dog, hotdog, chili dog, chilli dog, chicago dog, veggie dog, frankfurter",
        "hot dog stand, hot dog vendor, hot dog cart, hot dog truck, hot dog shop, hot dog restaurant, hot dog suit, "
        "hot dog sign, hot dog bun, hotdog stand, hotdog vendor, hotdog cart, hotdog bun",
    ),
    "pizza": (
        "pizza",
        "pizza box, pizza cutter, pizza parlor, pizza hut, pizza oven, pizza pan, pizza place, pizza shop, "
        "pizza store, pizza restaurant, pizza joint, pizza kitchen, pizza truck, pizza stand, pizza sign, pizza menu, "
        "pizza dough, pizza sauce, pizza stone, pizza peel, pizza maker, pizza chef, pizza delivery",
    ),
    "donut": (
        "donut, doughnut, dough nut",
        "donut shop, doughnut shop, donut store, doughnut store, donut box, doughnut box, donut machine, "
        "doughnut machine, donut sign, doughnut sign, donut stand, donut bakery, donut float, dunkin donut, "
        "dunkin doughnut",
    ),
    "cake": (
        "cake, cupcake, cheesecake, fruitcake",
        "pan cake, rice cake, crab cake, fish cake, corn cake, potato cake, hot cake, funnel cake, urinal cake, "
        "cake stand, cake plate, cake pan, cake box, cake mix, cake batter, cake knife, cake server, cake cutter, "
        "cake topper, cake shop, cake dish, cake walk, cupcake holder, cupcake wrapper, cupcake liner, cupcake stand, "
        "cupcake tin",
    ),
    "chair": (
        "chair, armchair, recliner, deckchair",
        "chair lift, ski chair, lift chair, wheel chair, electric chair, chair cushion, chair rail, chair leg, "
        "chair man",
    ),
    "couch": (
        "couch, sofa, loveseat, love seat, settee, futon",
        "couch cushion, sofa cushion, couch pillow, sofa pillow, couch potato, sofa table, couch cover, sofa cover",
    ),
    "potted plant": (
        "potted, pot plant, potplant, houseplant, house plant, flower pot, flowerpot, plant pot, planter, "
        "pot of flowers, pots of flowers, plant in a pot, plants in pots, flowers in a pot, flowers in pots, "
        "hanging plant",
        "potted meat, potted shrimp, empty planter, empty flower pot",
    ),
    "bed": (
        "bed, bunkbed, mattress",
        "bed room, bed side, bed stand, bed spread, bed sheet, bed linen, bed cover, bed head, bed pan, bed bug, "
        "bed time, bed of, beds of, bed and breakfast, flower bed, garden bed, plant bed, raised bed, river bed, "
        "lake bed, creek bed, stream bed, rock bed, truck bed, pickup bed, flat bed, dog bed, cat bed, pet bed, "
        "tanning bed",
    ),
    "dining table": (
        "table",
        "table tennis, pool table, ping pong table, billiard table, air hockey table, foosball table, coffee table, "
        "end table, side table, night table, bedside table, dressing table, vanity table, console table, "
        "changing table, operating table, massage table, sewing table, train table, bathroom table, table cloth, "
        "table lamp, table saw, table salt, table spoon, table runner, table leg, table of contents, turn table, "
        "time table",
    ),
    "toilet": (
        "toilet, commode, urinal",
        "toilet paper, toilet tissue, toilet roll, toilet brush, toilet plunger, toilet cleaner, toilet bowl cleaner, "
        "toilet sign, toilet room, toilet bag, toilet kit, portable toilet, urinal cake",
    ),
    "tv": (
        "tv, television, t v, telly, flat screen, flatscreen, flat panel, monitor, computer screen",
        "tv stand, television stand, tv remote, television remote, tv controller, tv tray, tv cabinet, tv dinner, "
        "tv show, television show, tv program, television program, tv series, tv guide, tv tower, television tower, "
        "tv antenna, television antenna, tv station, television station, tv studio, television studio, tv camera, "
        "television camera, tv crew, tv commercial, tv character, tv star, tv host, baby monitor, heart monitor, "
        "monitor lizard",
    ),
    "laptop": (
        "laptop, lap top, macbook, mac book, notebook computer, netbook, chromebook",
        "laptop bag, laptop case, laptop sleeve, laptop charger, laptop stand, laptop desk, laptop cord, laptop mouse, "
        "laptop sticker, laptop battery, laptop box",
    ),
    "mouse": (
        "mouse, mice",
        "mickey mouse, minnie mouse, mighty mouse, toy mouse, stuffed mouse, field mouse, dead mouse, live mouse, "
        "cat and mouse, blind mice, mouse pad, mouse mat, mouse trap, mouse toy, mouse ear, mouse hole",
    ),
    "remote": (
        "remote, wiimote, wii mote, wii controller, game controller, nintendo controller",
        "remote control car, remote control plane, remote control airplane, remote control boat, "
        "remote control helicopter, remote control truck, remote control toy, remote controlled, remote area, "
        "remote location, remote place, remote spot, remote setting, remote region, remote part, remote section, "
        "remote island, remote beach, remote village, remote town, remote road, remote street, remote path, "
        "remote trail, remote field, remote desert, remote forest, remote wilderness, remote mountain, remote hill, "
        "remote hillside, remote lake, remote river, remote country, remote rural, remote farm, remote airport, "
        "remote airstrip, remote station, remote train, remote highway, remote landscape, remote grassy, remote snowy, "
        "remote wooded, remote sandy, remote dirt",
    ),
    "keyboard": (
        "keyboard",
        "piano keyboard, electric keyboard, electronic keyboard, musical keyboard, music keyboard, midi keyboard, "
        "casio keyboard, yamaha keyboard, keyboard piano, keyboard player, keyboard instrument, playing a keyboard, "
        "playing the keyboard, plays a keyboard, plays the keyboard",
    ),
    "cell phone": (
        "phone, cellphone, cell, smartphone, iphone, mobile device, cellular telephone",
        "pay phone, phone booth, phone box, phone pole, phone line, phone wire, phone book, phone bank, phone cord, "
        "phone charger, phone case, phone number, phone company, phone stand, phone tower, phone store, public phone, "
        "desk phone, office phone, wall phone, house phone, home phone, landline phone, land line phone, rotary phone, "
        "corded phone, cordless phone, old fashioned phone, toy phone, banana phone, head phone, ear phone, "
        "cell tower, jail cell, prison cell, solar cell",
    ),
    "microwave": (
        "microwave, micro wave",
        "microwave dinner, microwave popcorn, microwave meal, microwave safe, microwave stand, microwave cart, "
        "microwave tower",
    ),
    "oven": (
        "oven, stove, stovetop, kitchen range, gas range",
        "microwave oven, micro wave oven, toaster oven, oven mitt, oven glove, oven timer, dutch oven, oven baked, "
        "oven fresh, oven roasted, wood stove, wood burning stove, camp stove, camping stove, stove pipe, stove hood, "
        "oven hood",
    ),
    "toaster": ("toaster", "toaster oven, toaster strudel, toaster pastry"),
    "sink": (
        "sink, washbasin, wash basin, hand basin",
        "sink hole, sink into, sinks into, sinks his, sinks her, sinks its, sinks down",
    ),
    "refrigerator": (
        "refrigerator, fridge, refridgerator, refrigerater, icebox, ice box",
        "refrigerator magnet, fridge magnet, refrigerator truck",
    ),
    "book": (
        "book, novel, textbook, cookbook, paperback",
        "book shelf, book case, book bag, book store, book shop, book mark, book end, book stand, book cover, "
        "book light, book rack, note book, mac book, face book, pocket book, check book, novel idea, novel way, "
        "novel use",
    ),
    "clock": (
        "clock, clocktower, clockface",
        "o'clock, around the clock, clock wise, clock work, clock shop, clock repair",
    ),
    "vase": ("vase", "vase shop"),
    "scissors": (
        "scissor, sissors",
        "scissor lift, scissors lift, scissor kick, scissors kick, scissor gate, rock paper scissors",
    ),
    "teddy bear": (
        "teddy, teddybear, stuffed bear, toy bear, plush bear, care bear, bear doll, bear toy, stuffed animal bear, "
        "stuffed panda",
        "teddy roosevelt, teddy bear suit, teddy bear shirt, teddy bear cake, teddy bear shop, teddy bear store, "
        "teddy bear picture",
    ),
    "hair drier": (
        "hair drier, hair dryer, hairdryer, hairdrier, blow dryer, blow drier, blowdryer, blowdrier",
        "hair dryer holder",
    ),
    "toothbrush": (
        "toothbrush, tooth brush",
        "toothbrush holder, tooth brush holder, toothbrush cup, toothbrush case, toothbrush stand, "
        "toothbrush container",
    ),
}
