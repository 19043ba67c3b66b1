#!/usr/bin/env python3
"""Render Noto Color Emoji glyphs and build their captions from the CLDR annotations.

Writes OUT/base.npz (premultiplied RGBA, uint8, N x 136 x 136 x 4), OUT/concepts.json (per concept: char, name,
keywords, keyword sets that identify it, what is held out; the test captions) and OUT/corpus.txt (captions, for
the tokenizers).
"""
import itertools, json, os, random, re, unicodedata
import xml.etree.ElementTree as ET
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from emoji import BASE, CNAMES, COLORS, arguments, sample_caption

# Well-known concepts that 128 x 128 pixels tell apart, by group, the best known ones first.  --concepts N takes the
# first part of every group.
GROUPS = [
    "😀 😂 😍 😎 😭 😡 😴 🤔 😱 👻 💀 🤖 👽 💩 🎃 🤡 😉 😘 😇 🤠 🥳 🤯 🥶 😷 🤓 👿 🤢 🥺 😋 🤑 👹 🙄 😜 🤐 🙃 🤕 "
    "😈 🤮 🥵 👾 😻 🙈 🤩 🥰 😢 🤬 🧐 🙊 😅 😐",
    "🐶 🐱 🐭 🐰 🦊 🐻 🐼 🐨 🐯 🦁 🐮 🐷 🐸 🐵 🐔 🐧 🦉 🦄 🐝 🦋 🐌 🐞 🐢 🐍 🐙 🦀 🐠 🐬 🐳 🐘 🦒 🐴 🐺 🦆 🦈 🐊 "
    "🐪 🦖 🦜 🐑 🐹 🐦 🐤 🦅 🦇 🐗 🐛 🐜 🦎 🦑 🦐 🐡 🦓 🦍 🦏 🐂 🐎 🐖 🐐 🦌 🐕 🐈 🐓 🦃 🦚 🦢 🐇 🐿 🦔 🐉 🦕 🐾 "
    "🦩 🦥 🦘 🐚 🦂 🕷 🕸 🦞 🐣 🕊 🐟 🦝 🐩 🐅 🐄 🦙 🦛 🦦 🦨 🐋 🦭 🪶 🦠 🦣 🐆",
    "🌵 🌲 🌴 🍀 🍄 🌹 🌻 🌸 🌷 🎄 🍁 🌳 🌱 🌼 💐 🌺 🍂 🪴 🍃 🥀 🌾",
    "🍎 🍌 🍓 🍒 🍉 🍇 🍋 🍊 🍍 🍑 🍐 🥝 🍅 🍆 🥑 🥕 🌽 🥦 🍔 🍕 🍟 🌭 🍩 🍪 🎂 🍦 🍣 🌮 🥐 🍞 🧀 🍳 🍗 🍿 ☕ 🍺 "
    "🍷 🍭 🍰 🧁 🥥 🥒 🌶 🥔 🥖 🥚 🥞 🥓 🍖 🥪 🌯 🥗 🍝 🍜 🍙 🍚 🍫 🍬 🍯 🥛 🍵 🍸 🍹 🍾 🍴 🥨 🥜 🧅 🧄 🥭 🫐 🥯 "
    "🧇 🥩 🥟 🥧 🍼 🫖 🥤 🔪 🥄 🍤 🥠 🥡 🍮 🥂 🧊 🫒 🫑 🍱 🏺",
    "🚗 🚕 🚌 🚓 🚑 🚒 🚚 🚜 🚲 🚂 ✈ 🚀 🛸 🚁 ⛵ 🚢 ⚓ 🚦 ⛽ 🛵 🏍 🚤 🛴 🚃 🏎 🛶 🪂 🛰 🧳 🛑 🚨 🚧 🚅 🚙 🛻 🚛 🚡 🛎",
    "🏠 🏰 ⛺ ☀ 🌙 ⭐ ☁ 🌈 ❄ ⛄ 🔥 💧 ⚡ 🌍 🪐 🌋 🌊 🏝 ☔ 🌧 🗻 🌪 🎡 🏭 ⛪ 🗽 🌕 ⛅ ⛈ 🎪 🎢 🧭 🏜 🏛 🏥 🧱 🪵 🌅 "
    "🌠 🌞 🌡 🌀 🎆 🗼 🕌 🎠 🛖 ☄",
    "⚽ 🏀 🏈 ⚾ 🎾 🏐 🎱 🎯 🏆 🥇 🎳 ⛳ 🏓 🥊 🛹 🏸 🎣 🎿 🏅 🏉 🏒 🏹 🥅 🤿 🛷 🪀 🔮 🪄 🎰 🕹 🃏 🪅 🪆 🪃 🎟 🥋",
    "❤ 💛 💚 💙 💜 🖤 💔 💖 💘 🧡 💝 💋 👀 👄 👂 👃 🧠 🦷 🦴 👍 👎 👋 💪 👣 👶 🎅 👮 👸 🧙 🧛 🧜 🧟 💃 🏄 🕵 🧚 🧞 👷 "
    "🥷 👅 👁 🦶 👏 🙏 👌 🤘 🤝 💅 👊 🏃 🏊 🚴 🧘 🏂",
    "📱 💻 📷 📺 ⏰ ⌛ 💡 💰 💎 🔑 🔒 🔔 🎁 🎈 📚 ✏ ✂ 🔨 🎸 🎹 🎺 🥁 🎲 🎨 👑 🎩 👓 👕 👗 👟 👠 🎒 💍 ☂ 🧸 💣 "
    "🔍 ⌚ 🎤 🎧 🎮 🔧 🕯 📎 📌 🗑 ✉ 📦 🔬 🔭 💊 💉 🧲 ⚙ 🪓 🛡 🗡 🧨 🎻 🎷 🧩 🎭 🎬 👒 👔 👖 👢 🧦 🧤 👜 💄 🪑 "
    "🛏 🚪 🛁 🚽 🪁 🧹 📻 🔦 🎉 🎀 📖 🎓 🕶 🧣 🧥 👙 🧢 📣 🎵 🪗 🪕 🖥 🖱 🖨 💾 💿 🔋 🔌 📜 📰 🪙 💵 💳 🖍 💼 📅 "
    "📈 📊 📏 🗝 🪚 🪛 🧰 🪜 🧪 🧬 🩹 🩺 🪞 🪟 🛋 🚿 🧺 🧻 🪣 🧼 🪥 🧽 🧯 🛒 🗿 🏮 🧵 🧶 👘 🛍 ☎ ⚖ ♟ ⛏ 🏁 🚩 💯 💥 💬",
]


def curated():
    """All curated characters, ordered so that every prefix holds the same share of every group."""
    return [c for _, _, c in sorted(((k + 0.5) / len(g.split()), i, c) for i, g in enumerate(GROUPS)
                                    for k, c in enumerate(g.split()))]


def clean(text):
    text = unicodedata.normalize("NFKD", text.lower())          # an accent becomes a sign of its own
    return re.sub(r"\s+", " ", re.sub(r"[^a-z0-9 ]", " ", re.sub("[’\u0300-\u036f]", "", text))).strip()


def render(char, font):
    """One glyph, centred on a BASE x BASE canvas, premultiplied RGBA."""
    im = Image.new("RGBA", (BASE + 40, BASE + 40), (0, 0, 0, 0))
    ImageDraw.Draw(im).text((20, 20), char, font=font, embedded_color=True)
    if im.getbbox() is None:
        return None
    im = im.crop(im.getbbox())
    im.thumbnail((BASE, BASE))
    out = Image.new("RGBA", (BASE, BASE), (0, 0, 0, 0))
    out.paste(im, ((BASE - im.width) // 2, (BASE - im.height) // 2))
    a = np.asarray(out).astype(np.float32)
    a[..., :3] *= a[..., 3:] / 255
    return np.round(a).astype(np.uint8)


def main():
    a = arguments(__doc__, False, font=("NotoColorEmoji.ttf", "the font file"),
                  annotations=("en.xml", "CLDR annotations"),
                  concepts=("300", "number of concepts, or all"), out="data", seed=1,
                  held_from=(0, "hold out captions of the concepts from this one on only"))
    font = ImageFont.truetype(a.font, 109)
    names, keywords = {}, {}
    for e in ET.parse(a.annotations).getroot().iter("annotation"):
        (names if e.get("type") == "tts" else keywords)[e.get("cp").replace("\ufe0f", "")] = e.text
    chars = curated()
    if a.concepts == "all":     # every further single-character emoji; no letters, flags, skin tones
        chars += [c for c in names if len(c) == 1 and c not in chars and ord(c) > 0x2100 and
                  not 0x1F1E6 <= ord(c) <= 0x1F1FF and not 0x1F3FB <= ord(c) <= 0x1F3FF]
    else:
        chars = chars[:int(a.concepts)]
    rng = random.Random(a.seed)
    out, pics, used = [], [], set()
    for c in chars:
        name = clean(names.get(c, ""))
        pic = render(c, font) if name and name not in used else None
        if pic is None or (pic[..., 3] > 128).mean() < 0.01:
            continue
        used.add(name)
        kws = dict.fromkeys(clean(k) for k in keywords.get(c, "").split("|"))
        out.append({"char": c, "name": name, "keywords": [k for k in kws if k and k != name]})
        pics.append(pic)
    # keyword sets that identify one concept among all those chosen (a name counts as a keyword)
    owners = {}
    for i, c in enumerate(out):
        for k in set(c["keywords"]) | {c["name"]}:
            owners.setdefault(k, set()).add(i)
    for i, c in enumerate(out):
        combos = [s for n in (1, 2, 3) for s in itertools.combinations(c["keywords"][:7], n)]
        c["keysets"] = [list(s) for s in combos if set.intersection(*(owners[k] for k in s)) == {i} and
                        (t := " ".join(s)) not in used and t not in COLORS and len(t) < 60]
        c["held"], c["held_colors"] = [], []
    # held out of the training: one colour of some concepts, one keyword set (in any order) of others
    order, tests = list(range(a.held_from, len(out))), []
    rng.shuffle(order)
    for i in order:
        c = out[i]
        if len(tests) < min(60, len(order) // 2):
            col = rng.randrange(1, len(CNAMES))
            c["held_colors"].append(col)
            tests.append({"concept": i, "color": col, "kind": "color"})
        elif len(tests) < 110 and len(pairs := [s for s in c["keysets"] if len(s) == 2]) > 2:
            held = rng.choice(pairs)
            c["keysets"] = [s for s in c["keysets"] if s != held and not set(held) <= set(s)]
            c["held"] = [" ".join(held), " ".join(held[::-1])]
            col = rng.choice([0, 0, rng.randrange(1, len(CNAMES))])
            tests.append({"concept": i, "color": col, "kind": "keywords"})
    os.makedirs(a.out, exist_ok=True)
    np.savez_compressed(os.path.join(a.out, "base.npz"), rgba=np.stack(pics))
    json.dump({"concepts": out, "tests": tests}, open(os.path.join(a.out, "concepts.json"), "w"), indent=0)
    with open(os.path.join(a.out, "corpus.txt"), "w") as f:
        for c in out:
            f.writelines(sample_caption(c, rng.choice([0] + list(range(len(CNAMES)))), rng) + "\n" for _ in range(30))
    print(len(out), "concepts,", sum(len(c["keysets"]) for c in out), "keyword sets,", len(tests), "tests")


if __name__ == "__main__":
    main()
