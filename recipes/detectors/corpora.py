"""What each corpus says of the six labels: one table. NaN = its annotators were not asked, and the loss leaves it out.

Hate is not toxicity. In sets of hate, sexism or misogyny a 0 means "nothing of that kind against a group", and plain
swearing is 0 there: so a 0 says something of `identity_attack`, and of `toxic` only `weak` (a small share, and only where
no word of our list of profanity stands in the text), else the source would teach its style instead of its harm.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np,pandas as pd

labels = ('toxic','severe_toxic','obscene','threat','insult','identity_attack')
weak = 0.1 # share of `toxic` for benign rows of sets that did not ask for toxicity

@dataclass(frozen=True)
class Source:
    "A corpus, and how its columns become ours"
    name:str # File in the data folder, without its ending
    judge:Callable # Function of the frame: label -> column, for the labels that its annotators speak of
    why:str # The reason
    lang:str = 'en' # ISO 639-1
    lang_col:str = None # Column that tells it row by row
    text:str = 'text' # Column of the texts
    group:str = None # Column that names the other side of a pair, which stays on the same side of the split
    own:str = None # Column that names the row itself
    weight:float = 1. # Of a row in the loss
    prepare:Callable = None # Function of the frame: the rows to take, or those made of it
    dev:tuple = () # Values of `split` that are for development

def yes(df, col, *values): return df[col].isin(values).astype(float)
def where(flags, value, other=np.nan): return np.where(flags, value, other)
def cells(df, col): return df[col].fillna('').astype(str)

def six(df): # the labels of Jigsaw 2018
    return {o:df['identity_hate' if o=='identity_attack' else o].astype('Float32').astype(float) for o in labels}

def all_clean(df): return {o:np.zeros(len(df)) for o in labels}

def hate(col, toxic=1.):
    "A set that asked for hate against groups: of its benign rows `toxic` is only weakly 0"
    def _judge(df):
        hit = df[col].astype(float).to_numpy()>0
        return dict(identity_attack=hit.astype(float), toxic=where(hit, toxic, weak))
    return _judge

def one_sided(col):
    "A set of one kind of hate: other kinds are 0 there, so a benign row is only weakly not toxic"
    def _judge(df):
        hit = df[col].astype(float).to_numpy()>0
        return dict(identity_attack=where(hit, 1.), toxic=where(hit, 1., weak))
    return _judge

def davidson(df):
    n = df.n_annotators.astype(float)
    return dict(toxic=(df.votes_hate+df.votes_offensive)/n, identity_attack=df.votes_hate/n)

def hatexplain(df):
    hit = yes(df, 'label', 'hatespeech')
    return dict(toxic=yes(df, 'label', 'hatespeech','offensive'), identity_attack=where(yes(df, 'label', 'offensive')>0, np.nan, hit))

def typed_spans(df):
    n = df.n_annotators.astype(float).clip(lower=1)
    def _share(col): return (df[col]/n).clip(upper=1)
    return dict(toxic=np.ones(len(df)), insult=_share('n_insult'), obscene=_share('n_profane_obscene'),
                identity_attack=_share('n_identity_based_attack'), threat=_share('n_threat'))

def gab(df):
    hit,rude = df.hate>0,df.vo_vulgar_offensive>0
    return dict(toxic=where(hit|rude, 1., 0.), identity_attack=hit.astype(float),
                threat=where(df.cv_call_for_violence>0, 1.), obscene=where(rude|hit, np.nan, 0.))

def cad(df):
    hit = df.abusive>0
    return dict(toxic=hit.astype(float), identity_attack=where(hit, df.identity_directed, 0.),
                insult=where(df.person_directed>0, 1., where(hit, np.nan, 0.)))

def sbic(df):
    rude,group = df.offensiveYN.clip(0, 1),cells(df, 'targetMinority').str.len()>2
    return dict(toxic=rude, identity_attack=where(group, rude, 0.))

def implicit(df):
    kind = cells(df, 'label')
    return dict(identity_attack=(df.hateful>0).astype(float),
                toxic=where(kind.str.startswith('explicit'), 1., where(df.hateful>0, 0.8, weak)))

def sexism(df):
    return {**one_sided('sexist')(df), 'threat':where(cells(df, 'category').str.startswith('1'), 1.)}

def misogyny(df):
    personal = cells(df, 'level_2').str.contains('personal', case=False) & (df.misogynistic==0)
    res = one_sided('misogynistic')(df)
    return {**res, 'toxic':where(personal, 1., res['toxic']), 'insult':where(personal, 1.)}

def chatting(df):
    swears = df.kind!='clean_chat'
    return {o:where(swears, 0.05 if o=='toxic' else (np.nan if o=='obscene' else 0.), 0.) for o in labels}

def only(col): return lambda df: dict(toxic=df[col].astype(float))

def both_sides(df):
    "Toxic comments and, below, the first two neutral ways to say them"
    sides = [df.toxic,df.neutral_1,df.neutral_2]
    return pd.concat([pd.DataFrame(dict(text=o, side=float(i==0), pair=np.arange(len(df)))) for i,o in enumerate(sides)]).dropna(subset='text')

english = (
    Source('jigsaw_train_part', six, 'the six labels themselves, gaps as they are', text='comment_text'),
    Source('jigsaw_train_part2', six, 'the same, more positives', prepare=lambda df: df[~df.in_jigsaw_train_part]),
    Source('jigsaw_en_10k_sample', only('toxic'), 'the same, one label', prepare=lambda df: df[~(df.in_jigsaw_train_part|df.in_part2)]),
    Source('jigsaw_train_normalised_sixlabel', six, 'the same without case and punctuation, rare labels', text='comment_text', weight=0.5),
    Source('wiki_context_toxicity', only('toxic'), 'talk pages at their real prevalence, 1 % toxic'),
    Source('civil_comments_balanced_sample', only('toxic'), 'news comments, lower-cased', weight=0.5),
    Source('toxic_spans_annotations', typed_spans, 'toxic posts; shares of annotators who marked each kind', weight=0.7),
    Source('davidson', davidson, 'votes as shares; over-labels African-American English, so it weighs less', weight=0.3),
    Source('hatexplain', hatexplain, 'hate, offence, neither; an offensive post may attack a group or not', weight=0.5, dev=('val',)),
    Source('paradetox_en', lambda df: dict(toxic=where(df.side>0, 1., weak), obscene=where(df.side>0, np.nan, 0.)),
           'a toxic comment beside neutral ways to say the same', prepare=both_sides, group='pair', weight=0.5),
    Source('dynahate_dev', hate('hateful'), 'adversarial sentences; pairs flip with a small edit', group='acl_id_matched', own='acl_id'),
    Source('hatemoji_build', hate('hateful'), 'the same with emoji', group='matched_id', own='entry_id', dev=('validation',)),
    Source('toxigen_annotated', hate('toxic'), 'machine-written, half of it benign mentions of groups'),
    Source('implicit_hate', implicit, 'hate without hateful words', weight=0.7),
    Source('sbic_dev', sbic, 'offensive to whom: means of annotators'),
    Source('stormfront', hate('hateful'), 'forum sentences', prepare=lambda df: df[df.label.isin(['hate','noHate'])]),
    Source('gab_hate_corpus', gab, 'three questions asked of every post'),
    Source('cad_reddit', cad, 'abuse by its target; labelled with the thread in view, so it weighs less', weight=0.5, dev=('dev',)),
    Source('edos_sexism', sexism, 'sexism alone: hate against others is 0', dev=('dev',)),
    Source('online_misogyny', misogyny, 'misogyny alone, and personal attacks'),
    Source('convabuse', only('abuse_fraction'), 'what people say to chat bots; shares of annotators', dev=('validation',)),
    Source('crowdcounter_counterspeech', lambda df: dict(identity_attack=np.zeros(len(df)), toxic=np.full(len(df), weak)),
           'answers to hate, which repeat its words'),
    Source('goemotions_benign', chatting, 'swearing with joy, and mentions of groups: chosen by us, so weakly 0'),
    Source('bold_wikipedia_benign', all_clean, 'sentences about people and religions'),
)

def mixed_tweets(df): # several marks for a tweet; `normal` stands alone after `unmixed`
    toxic = df.toxic.astype(float)
    return dict(toxic=toxic, identity_attack=where(df.hateful>0, 1., where(toxic==0, 0.)))

def unmixed(df): return df[(df.mixed_with_normal==0)&(df.lang!='en')]

def germeval(df):
    kind = df.label_fine
    plain = kind=='OTHER'
    def _is(name): return where(kind==name, 1., where(plain, 0.))
    return dict(toxic=(~plain).astype(float), obscene=_is('PROFANITY'), insult=_is('INSULT'), identity_attack=_is('ABUSE'))

def told(df): # votes of three
    groups = df[['homophobia','racism','misogyny','xenophobia']].max(axis=1)
    return dict(toxic=df.n_toxic_votes/3, obscene=df.obscene/3, insult=df.insult/3, identity_attack=groups/3)

def beep(df):
    group = (df.bias!='none')&(df.hate=='hate')
    return dict(toxic=df.toxic.astype(float), identity_attack=where(group, 1., where(df.hate=='none', 0.)))

def cold(df): # asked of race, region and gender: most of what offends attacks a group
    rude = df.offensive.astype(float)
    return dict(toxic=rude, identity_attack=0.7*rude)

def ruhsold(df):
    kind = cells(df, 'fine_label')
    plain = kind=='normal'
    return dict(toxic=df.offensive.astype(float), obscene=where(kind=='profane_untargeted', 1., where(plain, 0.)),
                identity_attack=where(kind.isin(['sexism','religious_hate']), 1., where(plain, 0.)))

languages = ('ar','de','en','es','fr','it','ko','pt','tr','zh') # of the multilingual detector; Urdu in Latin letters has no code
others = (
    Source('jigsaw_multilingual_es_fr', only('toxic'), 'talk pages in Spanish and French', lang_col='lang'),
    Source('jigsaw_multilingual_valid_half', only('toxic'), 'talk pages in Spanish, Italian and Turkish', lang_col='lang', weight=1.5),
    Source('mlma_fr_ar_en', mixed_tweets, 'tweets in French and Arabic, found by slurs; noisy, so it weighs less', lang_col='lang',
           prepare=unmixed, weight=0.6),
    Source('germeval2018_de', germeval, 'German tweets: profanity, insult, abuse of groups', 'de'),
    Source('told_br_pt', told, 'Brazilian tweets; votes as shares', 'pt'),
    Source('korean_beep', beep, 'comments on celebrities', 'ko'),
    Source('korean_curse', only('curse'), 'swearing and hostility', 'ko'),
    Source('cold_zh', cold, 'Chinese posts on race, region and gender', 'zh', weight=0.7, dev=('dev',)),
    Source('ruhsold_roman_urdu', ruhsold, 'Urdu in Latin letters', 'ur', dev=('validation',)),
)

credits = { # Source -> licence, and whose work it is
    'jigsaw_train_part':('annotations CC0, text CC BY-SA 3.0 (Wikipedia)', 'Jigsaw, Toxic Comment Classification Challenge 2018'),
    'jigsaw_train_part2':('as above', 'as above'),
    'jigsaw_en_10k_sample':('as above', 'as above'),
    'jigsaw_train_normalised_sixlabel':('as above', 'as above'),
    'wiki_context_toxicity':('Apache-2.0', 'Pavlopoulos et al. 2020, Toxicity Detection: Does Context Really Matter?'),
    'civil_comments_balanced_sample':('CC0', 'Borkan et al. 2019, Civil Comments'),
    'toxic_spans_annotations':('CC0', 'Pavlopoulos et al. 2021, SemEval-2021 Task 5'),
    'davidson':('MIT', 'Davidson et al. 2017'),
    'hatexplain':('MIT', 'Mathew et al. 2021, HateXplain'),
    'paradetox_en':('CC0', 'Logacheva et al. 2022, ParaDetox'),
    'dynahate_dev':('CC BY 4.0', 'Vidgen et al. 2021, Learning from the Worst'),
    'hatemoji_build':('CC BY 4.0', 'Kirk et al. 2022, Hatemoji'),
    'toxigen_annotated':('MIT', 'Hartvigsen et al. 2022, ToxiGen'),
    'implicit_hate':('CC BY 4.0', 'ElSherief et al. 2021, Latent Hatred'),
    'sbic_dev':('CC BY 4.0', 'Sap et al. 2020, Social Bias Frames'),
    'stormfront':('CC BY-SA 3.0 ES', 'de Gibert et al. 2018'),
    'gab_hate_corpus':('CC BY 4.0', 'Kennedy et al. 2022, Gab Hate Corpus'),
    'cad_reddit':('CC BY 4.0', 'Vidgen et al. 2021, Contextual Abuse Dataset'),
    'edos_sexism':('CC0', 'Kirk et al. 2023, SemEval-2023 Task 10'),
    'online_misogyny':('MIT', 'Guest et al. 2021'),
    'convabuse':('CC BY 4.0', 'Cercas Curry et al. 2021, ConvAbuse'),
    'crowdcounter_counterspeech':('MIT', 'Saha et al. 2024, CrowdCounter'),
    'goemotions_benign':('Apache-2.0', 'Demszky et al. 2020, GoEmotions'),
    'bold_wikipedia_benign':('CC BY-SA 4.0', 'Dhamala et al. 2021, BOLD'),
    'jigsaw_multilingual_es_fr':('annotations CC0, text CC BY-SA 3.0 (Wikipedia)', 'Jigsaw, Multilingual Toxic Comment Classification 2020'),
    'jigsaw_multilingual_valid_half':('as above', 'as above'),
    'mlma_fr_ar_en':('MIT', 'Ousidhoum et al. 2019, Multilingual and Multi-Aspect Hate Speech Analysis'),
    'germeval2018_de':('CC BY 4.0', 'Wiegand et al. 2018, GermEval'),
    'told_br_pt':('CC BY-SA 4.0', 'Leite et al. 2020, ToLD-Br'),
    'korean_beep':('CC BY-SA 4.0', 'Moon et al. 2020, BEEP!'),
    'korean_curse':('MIT', '2runo, Curse detection data'),
    'cold_zh':('Apache-2.0', 'Deng et al. 2022, COLD'),
    'ruhsold_roman_urdu':('MIT', 'Rizwan et al. 2020, RUHSOLD'),
}

def is_dev_split(df, source): return df['split'].isin(source.dev).to_numpy() if source.dev else np.zeros(len(df), bool)
