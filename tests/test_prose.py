"What is written for readers (crosses all rooms): links lead somewhere, commands and options exist, the first example prints what it shows"
import contextlib,io,re,shlex
from pathlib import Path

import click,pytest
from fastcore.nbio import read_nb
from toxicai.cli import cli

root = Path(__file__).resolve().parent.parent
pages = [*root.glob('*.md'), *root.glob('docs/*.md'), *root.glob('toxicai*/detectors/*/README.md'), *root.glob('benchmarks/records/*.md')]
notebooks = sorted(root.glob('nbs/*.ipynb'))

def prose(path): # Text of a page, or of the markdown cells of a notebook
    if path.suffix=='.md': return path.read_text(encoding='utf-8')
    return '\n\n'.join(c.source for c in read_nb(path).cells if c.cell_type=='markdown')

def links(text): # Targets of relative links, those in code left out
    bare = re.sub(r'```.*?```|`[^`\n]*`', '', text, flags=re.S)
    return [o for o in re.findall(r'\]\(([^)\s]+)\)', bare) if not re.match(r'[a-z]+:', o)]

def anchors(path): # As GitHub makes them of headings
    words = lambda o: re.sub(r'[^\w\- ]', '', o.strip().lower()).replace(' ', '-')
    return {words(o) for o in re.findall(r'^#+ (.*)', prose(path), flags=re.M)}

def dead_links(path, text):
    parts = [o.partition('#') for o in links(text)]
    there = lambda name,at: (f := path.parent/name if name else path).exists() and (not at or at in anchors(f))
    return [name+'#'*bool(at)+at for name,_,at in parts if not there(name, at)]

@pytest.mark.parametrize('path', [*pages, *notebooks], ids=lambda o: str(o.relative_to(root)))
def test_links(path): assert not dead_links(path, prose(path))

def test_dead_links_are_found(tmp_path):
    (tmp_path/'b.md').write_text('# One `two`: three\n')
    text = '[a](b.md) [b](b.md#one-two-three) [c](b.md#four) [d](c.md) `[e](f.md)` [g](https://h.i) [j](#k)'
    (tmp_path/'a.md').write_text(text)
    assert dead_links(tmp_path/'a.md', text)==['b.md#four','c.md','#k']

def commands(text): # Lines of shells, and code in a sentence, that call the program or a module of ours
    shell = '\n'.join(re.findall(r'```(?:sh|bash)\n(.*?)```', text, re.S)).replace('\\\n', ' ')
    lines = [*shell.splitlines(), *re.findall(r'`([^`\n]+)`', re.sub(r'```.*?```', '', text, flags=re.S))]
    found = [m for o in lines for m in re.findall(r'(?:^|[ (])(toxicai (?!import)[a-z]+[^|&;#`]*|python -m (?:toxicai|benchmarks|recipes|tools)[^|&;#`]*)', o)]
    return [o.split(' > ')[0].strip() for o in found if not re.search(r'\.\.\.|…|[a-z]\|', o)]

def options_of(words): # Of the command or module that `words` begin with; None where there is none
    if words[0]=='toxicai':
        command = cli.get_command(None, words[1])
        if isinstance(command, click.Group): command = command.get_command(None, words[2])
        return command and {o for p in command.get_params(click.Context(command)) for o in [*p.opts, *p.secondary_opts]}
    base = root/words[2].replace('.', '/')
    found = [o for o in (base.with_suffix('.py'), base/'__main__.py') if o.exists()]
    text = ''.join(o.read_text(encoding='utf-8') for o in found)
    return set(re.findall(r'--[a-z_-]+', text)) if found else None

def wrong_words(command): # '' where the program, or the module, has the command and its options
    words = shlex.split(command)
    known = options_of(words)
    if known is None: return ' '.join(words[:3])
    return ' '.join(sorted({o.split('=')[0] for o in words if o.startswith('--')}-known-{'--help'}))

@pytest.mark.parametrize('path', [*pages, root/'nbs/96_cli.ipynb', *root.glob('deploy/*')], ids=lambda o: str(o.relative_to(root)))
def test_commands(path):
    text = path.read_text(encoding='utf-8') if path.parent.name=='deploy' else prose(path)
    assert not {o:wrong_words(o) for o in commands(text) if wrong_words(o)}

def test_wrong_commands_are_found():
    text = """`toxicai predct x`, `toxicai predict "a b" --jsn`, `toxicai score a.csv b.csv --text c`, `python -m benchmarks.none`
```sh
toxicai serve --keys k --opn   # why
pip install x && toxicai info && python -m toxicai.demo --dta x
```
"""
    assert [wrong_words(o) for o in commands(text)]==['--opn','','--dta','toxicai predct x','--jsn','','python -m benchmarks.none']

def shown(text): # Of each text that a printed `Detections` tells of: label -> score and flag
    rows = [o for o in text.splitlines() if re.match(r'\w+ \d', o)]
    return [{k:(float(v),bool(f)) for k,v,f in re.findall(r'(\w+) (\d\.\d+)(!?)', o)} for o in rows]

def test_first_example():
    "What README shows is what the detector in the box says, but for the rounding of another processor"
    code,said = re.search(r'```python\n(from toxicai import Detector\n\n.*?)```\n\n```text\n(.*?)```', prose(root/'README.md'), re.S).groups()
    first,last = code.strip().rsplit('\n', 1)
    exec(first, space := {})
    found = eval(last, space)
    want,here = shown(said),shown(repr(found))
    assert len(want)==len(here)==3 and [list(o) for o in want]==[list(o) for o in here]==[list(found.labels)]*3
    apart = [abs(a[k][0]-b[k][0]) for a,b in zip(want, here) for k in a]
    assert max(apart)<0.1 and [o['toxic'][1] for o in want]==[False,True,False]
