"Texts a second that each preset normalises, on one thread: `python -m benchmarks.normalise`"
import argparse,random,time
from statistics import median

from toxicai.text.rules import Rules,presets
from .common import data_file,interleaved,show

_words = ('the a of and you this is not people think edit page why do what time please stop idiot source good '
          'my article').split()

def short_texts(
    n:int, # How many
    seed:int=42, # Of the generator
) -> list: # ASCII texts of 3 to 20 words
    "Short ASCII texts, as chat messages are"
    rng = random.Random(seed)
    return [' '.join(rng.choices(_words, k=rng.randint(3, 20)))+rng.choice(['', '.', '!', '?']) for _ in range(n)]

def rate(
    rules:Rules, # What to measure
    texts, # Strings
    seconds:float=0.5, # At least so long
) -> float: # Texts a second
    "Texts that `rules` normalise in a second"
    n,start = 0,time.perf_counter()
    while (took := time.perf_counter()-start)<seconds:
        chunk = texts[n%len(texts):][:2000]
        rules.all(chunk)
        n += len(chunk)
    return n/took

def n_changed(rules, texts): return sum(a!=b for a,b in zip(texts, rules.all(texts)))

def main(
    rounds:int=5, # The median of so many counts
):
    "Measure every preset on invented short ASCII texts and on real comments"
    comments = data_file('jigsaw_train_part').sample(4000, random_state=42).comment_text.tolist()
    samples = {'20,000 invented short ASCII texts (seed 42)':short_texts(20000),
               '4,000 comments of jigsaw_train_part (seed 42)':comments}
    for name,texts in samples.items():
        res = interleaved({o:lambda o=o: rate(Rules(o), texts) for o in presets}, rounds)
        n_chars,ascii = sum(map(len, texts))/len(texts),sum(map(str.isascii, texts))/len(texts)
        show([dict(preset=o, texts_per_s=round(median(v)), lowest=round(min(v)), highest=round(max(v)),
                   changed=f'{n_changed(Rules(o), texts[:2000])/20:.1f} %') for o,v in res.items()],
             f'{name}: {n_chars:.0f} characters on average, {ascii:.1%} ASCII; '
             f'one thread, median of {rounds} rounds; changed: of the first 2,000')

if __name__=='__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    main(**vars(parser.parse_args()))
