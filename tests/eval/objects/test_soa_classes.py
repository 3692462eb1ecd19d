"""The words of the classes, on captions written for this test, and on captions of scenes with known objects."""

from __future__ import annotations

import numpy as np
import pytest

from data_pipelines.scenes import describe, narrate, sample
from eval.networks import label_maps
from eval.objects import soa_classes
from eval.objects.soa_classes import COCO_CLASSES, SCENE_CLASSES, ObjectClass

# Captions with all the classes that they name: every class is named at least once.
CAPTIONS = {
    # Animals, and other things whose names contain those of animals.
    "A dog eating a hot dog on the sidewalk.": {"dog", "hot dog"},
    "a hot dog with mustard": {"hot dog"},
    "Two hot-dogs and a corn dog": {"hot dog"},
    "HOTDOG STAND at the corner": set(),
    "a puppy asleep in a dog bed": {"dog"},
    "a child hugs a teddy bear": {"person", "teddy bear"},
    "Teddy-bears next to a polar bear": {"teddy bear", "bear"},
    "a panda eats bamboo": {"bear"},
    "a stuffed bear on a shelf": {"teddy bear"},
    "three grizzlies cross a river": {"bear"},
    "a kitten in a cat bed": {"cat"},
    "a bag of cat food": set(),
    "geese and a duckling swim past": {"bird"},
    "a bird house in a tree": set(),
    "a bird's-eye view of the city": set(),
    "a cowboy rides a bull": {"person", "cow"},
    "a pit bull and a bulldog": {"dog"},
    "a calf beside the oxen": {"cow"},
    "an elephant calf": {"elephant"},
    "an elephant and its baby": {"elephant"},
    "sheep and a sheep dog in a meadow": {"sheep", "dog"},
    "ponies without a horse trailer": {"horse"},
    "a little girl on a rocking horse": {"person"},
    "a zebra near a zebra crossing": {"zebra"},
    "a zebra-striped rug": set(),
    "giraffes and no zebras": {"giraffe"},
    # People.
    "PEOPLE waiting": {"person"},
    "a passenger train": {"train"},
    "a pitcher of lemonade": set(),
    "the pitcher throws a ball": {"person", "sports ball"},
    "Someone's phone": {"cell phone"},
    "no people on the beach": set(),
    "a statue of men; a woman's hat": {"person"},
    # In the street.
    "bikes and a motor bike": {"bicycle", "motorcycle"},
    "an empty bike lane": set(),
    "a Vespa and a dirt bike": {"motorcycle"},
    "a cable car above the cars": {"car"},
    "a taxi cab": {"car"},
    "a jet ski behind a sailboat": {"boat"},
    "jetliners on the runway": {"airplane"},
    "a double-decker at a bus stop": {"bus"},
    "an empty bus station": set(),
    "train tracks near a train station": set(),
    "a train next to the train tracks": {"train"},
    "a fire engine and a pickup truck": {"truck"},
    "the boat house by the lake": set(),
    "stop lights and traffic lights": {"traffic light"},
    "a yellow hydrant": {"fire hydrant"},
    "a stop sign by a bus stop sign": {"stop sign"},
    "a bus stop sign": set(),
    "coin-operated parking meters": {"parking meter"},
    "two benches and a work bench": {"bench"},
    # Worn and carried.
    "a back pack and a book bag": {"backpack"},
    "a parasol; an umbrella stand": {"umbrella"},
    "a purse and a coin purse": {"handbag"},
    "He is about to tie his shoe.": set(),
    "a red tie": {"tie"},
    "a man ties a bow tie": {"person", "tie"},
    "a tie-dyed shirt": set(),
    "luggage at the baggage claim": {"suitcase"},
    # Sport.
    "a flying disc": {"frisbee"},
    "a ski lift over a ski slope": set(),
    "skis leaning on the ski lift": {"skis"},
    "a snow board": {"snowboard"},
    "meatballs, a ball gown and a ball of yarn": set(),
    "kites in the sky": {"kite"},
    "a fruit bat hangs upside down": set(),
    "a bat and a catcher's mitt": {"baseball bat", "baseball glove"},
    "oven mitts": set(),
    "a skate board on a skateboard ramp": {"skateboard"},
    "paddle boards and a surf board": {"surfboard"},
    "tennis racquets": {"tennis racket"},
    # At table.
    "a bottle without a bottle cap": {"bottle"},
    "two glasses of red wine": {"wine glass"},
    "a man with glasses": {"person"},
    "a cup in a cup holder": {"cup"},
    "a carton of orange juice": set(),
    "a glass of orange juice": {"cup"},
    "mugs and a glass of milk": {"cup"},
    "a fork in the road": set(),
    "knives, forks and spoons": {"knife", "fork", "spoon"},
    "the toilet bowl": {"toilet"},
    "bowls": {"bowl"},
    "bananas and banana bread": {"banana"},
    "an Apple laptop": {"laptop"},
    "apple pie or an apple": {"apple"},
    "a cheeseburger": {"sandwich"},
    "an orange cat": {"cat"},
    "a bowl of oranges": {"bowl", "orange"},
    "sky of reds and oranges": set(),
    "broccoli and carrots": {"broccoli", "carrot"},
    "carrot cake": {"cake"},
    "an open pizza box": set(),
    "slices of pizza": {"pizza"},
    "doughnuts from the donut shop": {"donut"},
    "pan-cakes": set(),
    "a cup cake": {"cake"},
    # At home.
    "a wheel chair by an armchair": {"chair"},
    "the love seat": {"couch"},
    "ferns in flower pots": {"potted plant"},
    "a potted palm": {"potted plant"},
    "a flower bed in front of the bed": {"bed"},
    "the bed of a truck": {"truck"},
    "table tennis": set(),
    "a coffee table and a dinner table": {"dining table"},
    "toilet paper": set(),
    "a TV on a TV stand": {"tv"},
    "a flat-screen T.V.": {"tv"},
    "macbooks": {"laptop"},
    "Mickey Mouse on a mouse pad": set(),
    "a keyboard and mouse": {"keyboard", "mouse"},
    "piano keyboards": set(),
    "a Wii remote": {"remote"},
    "a remote mountain village": set(),
    "a remote controlled airplane": {"airplane"},
    "a phone in a phone booth": {"cell phone"},
    "a pay phone": set(),
    "a microwave oven": {"microwave"},
    "a stove and a toaster oven": {"oven"},
    "a toaster": {"toaster"},
    "the ship sinks into the sea": {"boat"},
    "a sink and a fridge with refrigerator magnets": {"sink", "refrigerator"},
    "books on a book shelf": {"book"},
    "a clock tower at three o'clock": {"clock"},
    "vases": {"vase"},
    "a pair of scissors": {"scissors"},
    "a scissor lift": set(),
    "a hair-dryer": {"hair drier"},
    "tooth brushes in a toothbrush holder": {"toothbrush"},
    # The same for all classes.
    "a boat-shaped bowl": {"bowl"},
    "a horse statue": set(),
    "a room without any chairs": set(),
    "a cloud that looks like a giraffe": set(),
    "a piano bench, no cats; a catalog, carpets and doggedness": set(),
    "": set(),
}


def _names(caption, classes=COCO_CLASSES):
    (row,) = soa_classes.classes_named([caption], classes)
    return {object_class.name for object_class, named in zip(classes, row) if named}


@pytest.mark.parametrize("caption", CAPTIONS)
def test_the_classes_of_a_caption(caption):
    assert _names(caption) == CAPTIONS[caption]


def test_the_captions_name_every_class():
    assert set.union(*CAPTIONS.values()) == {object_class.name for object_class in COCO_CLASSES}


def test_many_captions_at_once():
    named = soa_classes.classes_named(list(CAPTIONS), COCO_CLASSES)
    assert named.shape == (len(CAPTIONS), 80) and named.dtype == bool
    for row, names in zip(named, CAPTIONS.values()):
        assert {COCO_CLASSES[column].name for column in np.flatnonzero(row)} == names


@pytest.mark.parametrize("object_class", [*COCO_CLASSES, *SCENE_CLASSES], ids=lambda one: one.name)
def test_every_word_names_its_class_and_no_exclusion_does(object_class):
    for word in object_class.words:
        for caption in (f"there is a {word} here", f"{word.capitalize()}."):
            assert soa_classes.classes_named([caption], [object_class]).all(), word
    for phrase in object_class.exclusions:
        assert not soa_classes.classes_named([f"there is a {phrase} here"], [object_class]).any(), phrase
        # An exclusion without a word of the class would do nothing.
        bare = object_class._replace(exclusions=())
        several = [f"two {phrase}", f"two {phrase}s", f"two {phrase.replace('shelf', 'shelves')}"]
        assert soa_classes.classes_named(several, [bare]).any(), phrase


def test_plurals():
    words = ("bus", "lorry", "toy", "knife", "bench", "box", "brush")
    captions = ["buses", "lorries", "toys", "knives", "benches", "boxes", "brushes"]
    classes = [ObjectClass(word, (word,)) for word in words]
    assert (soa_classes.classes_named(captions, classes) == np.eye(len(words), dtype=bool)).all()


def test_names_and_order_are_those_of_the_detectors():
    assert tuple(object_class.name for object_class in COCO_CLASSES) == label_maps.COCO_NAMES


def test_columns_of_a_detector_with_other_spellings_another_order_and_more_labels():
    labels = [*("tvmonitor", "Aeroplane", "street sign", "motorbike"), *("sofa", "diningtable", "pottedplant", "dog")]
    wanted = ["airplane", "couch", "dining table", "dog", "motorcycle", "potted plant", "tv"]
    classes = [next(one for one in COCO_CLASSES if one.name == name) for name in wanted]
    columns = soa_classes.detector_columns(labels, classes)
    assert columns.tolist() == [1, 4, 5, 7, 3, 6, 0]


def test_a_detector_without_a_class_is_refused():
    with pytest.raises(ValueError, match=r"no label for 'person', 'bicycle', .* and 73 more, only for 'dog'"):
        soa_classes.detector_columns(["dog"], [one for one in COCO_CLASSES if one.name != "toothbrush"])


@pytest.fixture(scope="module")
def scenes():
    return [sample.sample_scene(0, "validation", index) for index in range(300)]


def test_captions_of_scenes_name_nothing_else_and_most_name_all(scenes):
    captions = [caption for scene in scenes for caption in describe.describe(scene)]
    present = [{thing.kind for thing in scene.objects} for scene in scenes for _ in range(describe.NUM_CAPTIONS)]
    named = soa_classes.classes_named(captions, SCENE_CLASSES)
    names = [{SCENE_CLASSES[column].name for column in np.flatnonzero(row)} for row in named]
    assert all(some and some <= every for some, every in zip(names, present))
    assert np.mean([some == every for some, every in zip(names, present)]) > 0.9


def test_narratives_of_scenes_name_what_is_there(scenes):
    narratives = [narrate.narrate(scene).caption for scene in scenes]
    named = soa_classes.classes_named(narratives, SCENE_CLASSES)
    for scene, row in zip(scenes, named):
        assert {SCENE_CLASSES[column].name for column in np.flatnonzero(row)} == {one.kind for one in scene.objects}
