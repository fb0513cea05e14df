"One table of label columns, each with its kind, classes and targets, or its error; `load_comments`, `from_df` and `test_dl` agree on every row"
import datasets as hf
import numpy as np,pandas as pd,pyarrow as pa,pytest,torch

nan = float('nan')

def ordered(values, levels): return pd.Categorical(values, levels, ordered=True)
def declared(values, names): return lambda: hf.Dataset.from_dict(dict(text=[f'comment {i}' for i in range(len(values))], label=values)).cast_column('label', hf.ClassLabel(names=names))
def declared_tags(values, names):
    features = hf.Features(text=hf.Value('string'), label=hf.List(hf.ClassLabel(names=names)))
    return lambda: hf.Dataset.from_dict(dict(text=[f'comment {i}' for i in range(len(values))], label=values), features=features)

# case -> (columns or source, classes, kind, class names, targets, what was decided);
# targets are class names, or tuples of numbers, None for a gap
flag,half = [(1,),(0,),(1,),(None,)],[(1,0),(0,1),(None,1)]
cases = {
    'one column of 0 and 1': (dict(toxic=[1,0,1,None]), None, 'multi', ['toxic'], flag, 'a flag named by its column'),
    'the same, called label': (dict(label=[1,0,0,1]), None, 'multi', ['label'], [(1,),(0,),(0,),(1,)], 'a flag, whatever the name'),
    'floats': (dict(toxic=[1.,0.,1.,nan]), None, 'multi', ['toxic'], flag, 'a flag'),
    'booleans': (dict(toxic=[True,False,True]), None, 'multi', ['toxic'], flag[:3], 'a flag'),
    'booleans with a gap': (dict(toxic=pd.array([True,False,True,None], dtype='boolean')), None, 'multi', ['toxic'], flag, 'a flag'),
    'category of 0 and 1': (dict(toxic=pd.Categorical([1,0,1,None])), None, 'multi', ['toxic'], flag, 'a flag'),
    'yes and no': (dict(toxic=['yes','No ','YES',None]), None, 'multi', ['toxic'], flag, 'words for yes and no are numbers'),
    'True and true': (dict(toxic=['True','false','true','']), None, 'multi', ['toxic'], flag, 'in any spelling'),
    '0 and 1 as text': (dict(toxic=['1','0','1','n/a']), None, 'multi', ['toxic'], flag, 'in text too'),
    '1.0 as text': (dict(toxic=['1.0','0.0','1.0','']), None, 'multi', ['toxic'], flag, 'what a gap made of 1 in a file'),
    'flags with two names': (dict(toxic=[1,0,1]), ['0','1'], 'single', ['0','1'], ['1','0','1'], 'two classes for those who name two'),
    'flags with numbers as names': (dict(toxic=[1,0,1]), [0,1], 'single', ['0','1'], ['1','0','1'], 'numbers name classes'),
    'booleans with two names': (dict(toxic=[True,False]), [False,True], 'single', ['false','true'], ['true','false'], 'booleans name classes'),
    'numbers with names of their own': (dict(toxic=[1,0,1]), {0:'kind',1:'rude'}, 'single', ['kind','rude'], ['rude','kind','rude'], 'a dict names values'),
    'a ClassLabel of no and yes': (declared([1,0,-1], ['no','yes']), None, 'multi', ['label'], [(1,),(0,),(None,)], 'declared, but a flag all the same'),
    'several columns': (dict(toxic=[1,0,None], insult=[0,1,1]), None, 'multi', ['toxic','insult'], half, 'a class each'),
    'several columns of words': (dict(toxic=['yes','no','null'], insult=['f','T','t']), None, 'multi', ['toxic','insult'], half, 'yes and no are understood in several columns too'),
    'several columns of shares': (dict(toxic=[.25,0,1], insult=[0,.5,nan]), None, 'soft', ['toxic','insult'], [(.25,0),(0,.5),(1,None)], 'soft'),
    'shares': (dict(toxic=[.25,0,1,nan]), None, 'soft', ['toxic'], [(.25,),(0,),(1,),(None,)], 'soft'),
    'shares as text': (dict(toxic=['.25','0','1']), None, 'soft', ['toxic'], [(.25,),(0,),(1,)], 'soft'),
    'words': (dict(label=['rude','kind','rude']), None, 'single', ['kind','rude'], ['rude','kind','rude'], 'by the alphabet'),
    'a class called as its column': (dict(hate=['none','hate','none']), None, 'single', ['hate','none'], ['none','hate','none'], 'a class'),
    'words with blanks around': (dict(label=[' rude','kind ','rude']), None, 'single', ['kind','rude'], ['rude','kind','rude'], 'blanks are no part of a name'),
    'words with gaps': (dict(label=['rude','kind',None,'nan','N/A','','rude']), None, 'single', ['kind','rude'], ['rude','kind',None,None,None,None,'rude'], 'words for gaps are gaps'),
    'none as a class': (dict(label=['none','sexism','None','sexism'][:2]), None, 'single', ['none','sexism'], ['none','sexism'], 'none of the others is a class'),
    'whole numbers': (dict(label=[2,10,1]), None, 'single', ['1','2','10'], ['2','10','1'], 'numbers by size'),
    'whole numbers as text': (dict(label=['2','10','1']), None, 'single', ['1','2','10'], ['2','10','1'], 'numbers by size'),
    'whole numbers made floats': (dict(label=[2.,10.,nan,1.]), None, 'single', ['1','2','10'], ['2','10',None,'1'], 'whole again'),
    'the same as text': (dict(label=['2.0','10.0','','1.0']), None, 'single', ['1','2','10'], ['2','10',None,'1'], 'whole again'),
    'numbers that are named': (dict(label=[2,0,1]), {0:'low',1:'medium',2:'high'}, 'single', ['low','medium','high'], ['high','low','medium'], 'a dict names values, in its order'),
    'two values with one name': (dict(label=[2,0,1]), {0:'kind',1:'rude',2:'rude'}, 'single', ['kind','rude'], ['rude','kind','rude'], 'asked for'),
    'a class more than there is': (dict(label=['b','a']), ['c','b','a'], 'single', ['c','b','a'], ['b','a'], 'listed classes and their order stay'),
    'ordered Categorical': (dict(label=ordered(['high','low','high'], ['low','medium','high'])), None, 'single', ['low','medium','high'], ['high','low','high'], 'declared order and classes stay'),
    'plain Categorical': (dict(label=pd.Categorical(['b','a'], ['b','a','c'])), None, 'single', ['a','b'], ['b','a'], 'no order is declared: as words'),
    'ClassLabel': (declared([2,0,-1,2], ['low','medium','high']), None, 'single', ['low','medium','high'], ['high','low',None,'high'], 'declared order and classes stay; -1 is a gap'),
    'tags': (dict(label=[['b'],[],['a','b']]), None, 'multi', ['a','b'], [(0,1),(0,0),(1,1)], 'lists are tags'),
    'tags with a gap': (dict(label=[['b'],None,['a']]), None, 'multi', ['a','b'], [(0,1),(None,None),(1,0)], 'a missing list is not known'),
    'tags of numbers': (dict(label=[[2],[10,2],[]]), None, 'multi', ['2','10'], [(1,0),(1,1),(0,0)], 'numbers by size'),
    'tags with blanks': (dict(label=[[' b'],['a '],['b']]), None, 'multi', ['a','b'], [(0,1),(1,0),(0,1)], 'blanks are no part of a name'),
    'tags of a ClassLabel': (declared_tags([[1],[],[0,1]], ['b','a']), None, 'multi', ['b','a'], [(0,1),(0,0),(1,1)], 'declared order'),
    'multi-hot lists with names': (dict(label=[[1,0],[0,1],None]), ['a','b'], 'multi', ['a','b'], [(1,0),(0,1),(None,None)], 'a number for each class'),
    'multi-hot booleans': (dict(label=[[True,False],[False,True]]), ['a','b'], 'multi', ['a','b'], [(1,0),(0,1)], 'a number for each class'),
    'multi-hot shares': (dict(label=[[.25,0],[0,1]]), ['a','b'], 'soft', ['a','b'], [(.25,0),(0,1)], 'soft')}

class Asked(dict): "More than classes: `classes`, `label_delim`, `na_values`"

tags,tag_targets = ['insult','toxic'],[(1,1),(0,1),(0,0)]
cases |= {
    # several labels in one cell
    'joined by a bar, said': (dict(label=['toxic|insult','toxic','']), Asked(label_delim='|'), 'multi', tags, tag_targets, 'split; an empty cell has no class'),
    'joined by a comma and blanks': (dict(label=['toxic, insult',' toxic ',' ']), Asked(label_delim=','), 'multi', tags, tag_targets, 'blanks are no part of a name'),
    'the delimiter with a blank': (dict(label=['toxic,insult','toxic, insult','']), Asked(label_delim=', '), 'multi', tags, [(1,1),(1,1),(0,0)], 'blanks around it may be there or not'),
    'joined by line ends, said': (dict(label=['toxic\ninsult\n','toxic','']), Asked(label_delim='\n'), 'multi', tags, tag_targets, 'split'),
    'joined by blanks, said': (dict(label=['toxic  insult','toxic','']), Asked(label_delim=' '), 'multi', tags, tag_targets, 'runs of blanks are one'),
    'joined, with classes': (dict(label=['toxic|insult','toxic','']), Asked(label_delim='|', classes=['toxic','insult','threat']), 'multi', ['toxic','insult','threat'], [(1,1,0),(1,0,0),(0,0,0)], 'their order stays, and what no row has'),
    'joined, with gaps': (dict(label=['toxic|insult','toxic',None,'n/a','?','','|']), Asked(label_delim='|', na_values=['?','']), 'multi', tags, [(1,1),(0,1)]+[(None,None)]*4+[(0,0)], 'gaps where the user says what they are'),
    'class numbers joined': (dict(label=['2;10','2','']), Asked(label_delim=';'), 'multi', ['2','10'], [(1,1),(1,0),(0,0)], 'numbers by size'),
    'class numbers joined and named': (dict(label=['2;10','2','']), Asked(label_delim=';', classes={10:'worst',2:'bad'}), 'multi', ['worst','bad'], [(1,1),(0,1),(0,0)], 'a dict names them'),
    'multi-hot, joined': (dict(label=['1,0,1','0,0,1']), Asked(label_delim=',', classes=list('abc')), 'multi', list('abc'), [(1,0,1),(0,0,1)], 'a number for each class'),
    'a Categorical of joined cells': (dict(label=ordered(['toxic|insult','toxic',''], ['','toxic','toxic|insult'])), Asked(label_delim='|'), 'multi', tags, tag_targets, 'as text'),
    # lists that were written as text
    "a list in Python's way": (dict(label=["['toxic', 'insult']","['toxic']",'[]']), None, 'multi', tags, tag_targets, 'read as lists'),
    "a list in JSON's way": (dict(label=['["toxic","insult"]','["toxic"]','[]']), None, 'multi', tags, tag_targets, 'read as lists'),
    "a list in NumPy's way": (dict(label=["['toxic' 'insult']","['toxic']",'[]']), None, 'multi', tags, tag_targets, 'Python would read one word, "toxicinsult"'),
    'tuples and sets as text': (dict(label=["('toxic', 'insult')","{'toxic'}",'()']), None, 'multi', tags, tag_targets, 'read as lists'),
    'both ways, with a gap': (dict(label=["['toxic', 'insult']",'["toxic"]','','[]']), None, 'multi', tags, [(1,1),(0,1),(None,None),(0,0)], 'an empty cell is a gap'),
    'multi-hot as text': (dict(label=['[1, 0]','[0, 1]','[1,1]']), ['a','b'], 'multi', ['a','b'], [(1,0),(0,1),(1,1)], 'a number for each class'),
    "multi-hot in NumPy's way": (dict(label=['[1. 0.]','[0. 1.]','[0.5 1. ]']), ['a','b'], 'soft', ['a','b'], [(1,0),(0,1),(.5,1)], 'shares'),
    'multi-hot booleans as text': (dict(label=['[True, False]','[ True  True]','[false,true]']), ['a','b'], 'multi', ['a','b'], [(1,0),(1,1),(0,1)], 'in any spelling'),
    'multi-hot strings': (dict(label=[['1','0'],['0','1']]), ['a','b'], 'multi', ['a','b'], [(1,0),(0,1)], 'numbers all the same'),
    'multi-hot with places named': (dict(label=[[1,0],[0,1]]), {1:'b',0:'a'}, 'multi', ['a','b'], [(1,0),(0,1)], 'keys are places in the lists, whatever their order'),
    'multi-hot for numbered classes': (dict(label=[[1,0],[0,1]]), [0,1], 'multi', ['0','1'], [(1,0),(0,1)], 'tags would be the same in each row'),
    'multi-hot with a gap inside': (dict(label=[[1,-1],[0,1]]), Asked(classes=['a','b'], na_values=-1), 'multi', ['a','b'], [(1,None),(0,1)], 'not scored'),
    # dicts
    'dicts of numbers': (dict(label=[{'TOXIC':1.,'INSULT':0.},{'TOXIC':0.,'INSULT':1.},None]), None, 'multi', ['TOXIC','INSULT'], [(1,0),(0,1),(None,None)], "spaCy's way: a number for each class"),
    'dicts that lack names': (dict(label=[{'TOXIC':1.,'INSULT':0.},{'TOXIC':0.},{},{'INSULT':1}]), None, 'multi', ['TOXIC','INSULT'], [(1,0),(0,None),(None,None),(None,1)], 'a name that is missing is not known'),
    'dicts of shares': (dict(label=[{'TOXIC':.25,'INSULT':0.},{'TOXIC':0.,'INSULT':1.}]), None, 'soft', ['TOXIC','INSULT'], [(.25,0),(0,1)], 'soft'),
    'dicts of flags with classes': (dict(label=[{'b':True,'a':False},{'b':False,'a':True}]), ['a','b'], 'multi', ['a','b'], [(0,1),(1,0)], 'listed order'),
    'dicts with names renamed': (dict(label=[{'TOX':1,'INS':0},{'TOX':0,'INS':1}]), {'INS':'insult','TOX':'toxic'}, 'multi', ['insult','toxic'], [(0,1),(1,0)], 'a dict names keys'),
    'dicts as text': (dict(label=["{'TOXIC': 1.0, 'INSULT': 0.0}",'{"TOXIC": 0, "INSULT": 1}','']), None, 'multi', ['TOXIC','INSULT'], [(1,0),(0,1),(None,None)], 'what a CSV file makes of them'),
    'dicts with -1': (dict(label=[{'a':1,'b':-1},{'a':0,'b':1},{'a':1,'b':0}]), Asked(na_values=[-1]), 'multi', ['a','b'], [(1,None),(0,1),(1,0)], 'not scored'),
    'dicts around a name': (dict(label=[{'value':'rude'},{'value':'kind'},None]), None, 'single', ['kind','rude'], ['rude','kind',None], "argilla's way"),
    'dicts around a list': (dict(label=[{'choices':['b','a']},{'choices':[]},{'choices':['b']}]), None, 'multi', ['a','b'], [(1,1),(0,0),(0,1)], 'tags'),
    'lists of dicts around a name': (dict(label=[[{'label':'b'},{'label':'a'}],[],None]), None, 'multi', ['a','b'], [(1,1),(0,0),(None,None)], 'tags'),
    'dicts around a flag': (dict(label=[{'label':1},{'label':0}]), None, 'multi', ['label'], [(1,),(0,)], 'a flag, named by its column'),
    # what means that nobody looked
    'minus one, said': (dict(label=[0,1,-1]), Asked(na_values=-1), 'multi', ['label'], [(0,),(1,),(None,)], 'a flag with gaps'),
    'minus one in floats and text': (dict(toxic=[0.,1.,-1.], insult=['-1','yes','0']), Asked(na_values=[-1]), 'multi', ['toxic','insult'], [(0,None),(1,1),(None,0)], 'whatever the type'),
    'minus one as text': (dict(toxic=[0,1,-1]), Asked(na_values='-1.0'), 'multi', ['toxic'], [(0,),(1,),(None,)], 'whatever the type'),
    'words for a gap': (dict(label=['rude','kind','Unclear ','?']), Asked(na_values=['unclear','?']), 'single', ['kind','rude'], ['rude','kind',None,None], 'in any case'),
    'a level that is none': (dict(label=ordered(['low','not scored','high'], ['not scored','low','mid','high'])), Asked(na_values={'not scored'}), 'single', ['low','mid','high'], ['low',None,'high'], 'no class either'),
    'a ClassLabel that is none': (declared([1,0,2], ['skip','low','high']), Asked(na_values='skip'), 'single', ['low','high'], ['low',None,'high'], 'no class either'),
    'a level called nan': (dict(label=ordered(['low','nan','high'], ['nan','low','high'])), None, 'single', ['low','high'], ['low',None,'high'], 'a word for a gap is no class'),
    'levels with blanks': (dict(label=ordered(['low ','high'], ['low ','high'])), None, 'single', ['low','high'], ['low','high'], 'blanks are no part of a name'),
    # flags and their names
    'booleans named by numbers': (dict(toxic=[True,False]), {0:'kind',1:'rude'}, 'single', ['kind','rude'], ['rude','kind'], 'True is 1'),
    'numbers named by booleans': (dict(toxic=[1,0]), {False:'kind',True:'rude'}, 'single', ['kind','rude'], ['rude','kind'], 'True is 1'),
    'words named by booleans': (dict(toxic=['Yes','no']), {False:'kind',True:'rude'}, 'single', ['kind','rude'], ['rude','kind'], 'yes is true'),
    'text of booleans, named': (dict(toxic=['True','False']), {False:'kind',True:'rude'}, 'single', ['kind','rude'], ['rude','kind'], 'what a CSV file makes of them'),
    'booleans with names in capitals': (dict(toxic=[True,False]), ['False','True'], 'single', ['False','True'], ['True','False'], 'as the user spells them'),
    'names beside the numbers that are named': (dict(label=['0','kind','1']), {0:'kind',1:'rude'}, 'single', ['kind','rude'], ['kind','kind','rude'], 'a name stands for itself'),
    'tensors of classes': (dict(label=[2,0,1]), torch.tensor([2,1,0]), 'single', ['2','1','0'], ['2','0','1'], 'numbers name classes'),
    'hyphens within names': (dict(label=['non-hate','hate','hate']), None, 'single', ['hate','non-hate'], ['non-hate','hate','hate'], 'words'),
    'numbers beyond words': (dict(label=[2,0,1]), {2:'high',0:'low',1:'mid'}, 'single', ['high','low','mid'], ['high','low','mid'], 'in the order of the dict')}

# case -> (columns, classes, the error, what was decided)
errors = {
    'words beyond `classes`': (dict(label=['a','b']), ['a','c'], "labels ['b'] of ['label'] are not among the classes", 'correct or add'),
    'names for 0 and 1 without a dict': (dict(toxic=[0,1]), ['kind','rude'], "{0: 'kind', 1: 'rude'}", 'ask: which is which?'),
    'numbers among words': (dict(label=['a','b',1]), None, "mixes numbers with 'a'", 'one type'),
    'a word among numbers': (dict(toxic=[0,1,'x'], insult=[0,1,1]), None, "'toxic' holds 'x' in row 2 of the frame", 'the row is named'),
    'beyond 1': (dict(toxic=[0,1,3], insult=[0,1,1]), None, "'toxic' goes from 0 to 3", 'no share'),
    'fractions beyond 1': (dict(label=[.5,2.5,1]), None, "'label' goes from 0.5 to 2.5", 'no share; the range is the true one'),
    'below 0': (dict(toxic=[0,1,-1], insult=[0,1,1]), None, 'pass a value that means `not known` as `na_values=[-1]`', 'ask'),
    'multi-hot lists': (dict(label=[[1,0],[0,1],[1,1]]), None, 'pass the names of the 2 classes in order, `classes=[...]`', 'ask'),
    'multi-hot lists, other length': (dict(label=[[1,0],[0,1]]), ['a','b','c'], 'lists of 2 numbers, but there are 3 classes', 'ask'),
    'a list as text beside a name': (dict(label=["['a', 'b']",'a']), None, 'beside other cells: turn all into lists', 'ask'),
    'lists beside names': (dict(label=['[a, b]','[a]']), None, 'ast.literal_eval', 'ask: not the way of Python or JSON'),
    'arrays as text': (dict(label=['array([1, 0])','array([0, 1])']), None, 'written as text', 'ask'),
    'cut arrays as text': (dict(label=['[1 0 ... 1]','[0 0 ... 1]']), None, 'written as text', 'ask'),
    'multi-hot as text, no names': (dict(label=['[1, 0]','[0, 1]']), None, 'pass the names of the 2 classes in order', 'ask'),
    'multi-hot strings, no names': (dict(label=[['1','0'],['0','1']]), None, 'pass the names of the 2 classes in order', 'ask'),
    'multi-hot, joined, no names': (dict(label=['1,0','0,0']), Asked(label_delim=','), 'pass the names of the 2 classes in order', 'ask'),
    'multi-hot without marks': (dict(label=['010','100','001']), None, 'a 0 or 1 for each of 3 classes', 'ask'),
    'multi-hot with wrong places': (dict(label=[[1,0],[0,1]]), {1:'a',2:'b'}, "or the places ['0', '1']", 'ask'),
    'joined by a bar': (dict(label=['a|b','a','c']), None, "label_delim='|'", 'ask'),
    'joined by semicolons': (dict(label=['a;b','c','d']), None, "label_delim=';'", 'ask'),
    'joined by commas': (dict(label=['a, b','a','b']), None, "label_delim=','", 'ask where a part occurs again'),
    'joined by a slash': (dict(label=['a/b','b','c']), None, "label_delim='/'", 'ask where a part occurs again'),
    'joined by a plus': (dict(label=['a + b','a','c']), None, "label_delim='+'", 'ask where a part occurs again'),
    'joined by line ends': (dict(label=['a\nb','c','d']), None, "label_delim='\\n'", 'ask: no name has two lines'),
    'joined by blanks': (dict(label=['a b','a','b']), None, "label_delim=' '", 'ask where all parts are classes'),
    'tags that hold several': (dict(label=[['a|b'],['a']]), None, "label_delim='|'", 'ask, in lists too'),
    'the wrong delimiter': (dict(label=['a|b','a','c']), Asked(label_delim=','), "no cell of label column 'label' holds `label_delim=','`", 'ask'),
    'another delimiter too': (dict(label=['a|b,c','a','c']), Asked(label_delim=','), "label_delim='|'", 'ask'),
    'no delimiter': (dict(label=['a','b']), Asked(label_delim=''), "`label_delim` is ''", 'ask'),
    'joined cells that are gaps': (dict(label=['a|b','a',None]), Asked(label_delim='|'), "fillna('')`; where nobody looked, `na_values=['']`", 'ask: none, or not known?'),
    'joined cells that are gaps beside others': (dict(label=['a|b','a',None,'?']), Asked(label_delim='|', na_values='?'), "where nobody looked, `na_values=['', '?']`", 'ask: none, or not known?'),
    'a delimiter for lists': (dict(label=[['a'],['b']]), Asked(label_delim='|'), 'leave out `label_delim`', 'nothing to split'),
    'a delimiter for two columns': (dict(toxic=['1|0','1'], insult=['0','1']), Asked(label_delim='|'), "for one label column, but there are ['toxic', 'insult']", 'one or the other'),
    'dicts of true classes alone': (dict(label=[{'a':1},{'b':1},{}]), None, 'is a name that is missing false, or not known?', 'ask'),
    'dicts with a score': (dict(label=[{'label':'rude','score':.9},{'label':'kind','score':.8}]), None, "lambda o: o['label'])", 'ask which'),
    'lists of dicts with a score': (dict(label=[[{'label':'rude','score':.9}],[]]), None, "lambda o: [v['label'] for v in o])", 'ask which'),
    'dicts of dicts': (dict(label=[{'a':{'b':1}},{'a':{'b':0}}]), None, "dicts of dicts or lists with the keys ['a']", 'ask'),
    'dicts beyond 1': (dict(label=[{'a':1,'b':5},{'a':0,'b':1}]), None, "'b' goes from 1 to 5", 'no share'),
    'dicts among columns': (dict(toxic=[0,1], cats=[{'a':1},{'a':0}]), None, 'must be the only label column', 'one or the other'),
    'a dict with an unlisted name': (dict(label=[{'a':1,'b':0},{'a':0,'b':1}]), ['a','c'], "labels ['b'] of ['label'] are not among", 'correct or add'),
    'lists of lists': (dict(label=[[[0,3,'a']],[]]), None, "column 'label'", 'spans are no labels'),
    'upper and lower case': (dict(label=['Rude','rude','kind']), None, "['Rude', 'rude']", 'ask: one class or two?'),
    'a repeated header': (dict(label=['rude','label','kind']), None, 'is a header line repeated?', 'ask'),
    'a repeated header of another name': (dict(hate=['none','race','hate']+['none','race']*20), None, 'is a header line repeated?', 'ask where it is there once in many rows'),
    'per cent': (dict(label=['12%','5%','0%']), None, 'write a share as 0.25', 'ask'),
    'decimal commas': (dict(label=['0,5','0,25','1']), None, 'write a share as 0.25', 'ask'),
    'ids': (dict(label=[f'u{i}' for i in range(40)]), None, 'is it a text or an id?', 'no classes'),
    'few ids': (dict(label=[f'r-{i:03}' for i in range(6)]), None, 'another value in each of its 6 rows', 'no classes'),
    'minus one': (dict(label=[0,1,-1]), None, 'na_values=[-1]', 'ask: a class or a gap?'),
    'ninety-nine': (dict(label=[0,1,99]), None, 'na_values=[99]', 'ask: a class or a gap?'),
    'minus nine': (dict(label=[1,2,3,-9]), None, 'na_values=[-9]', 'ask: a class or a gap?'),
    'a dash': (dict(label=['rude','kind','-']), None, "na_values=['-']", 'ask: a class or a gap?'),
    'a word among flags': (dict(label=['yes','no','1','unclear']), None, "na_values=['unclear']", 'ask'),
    'a repeated header among flags': (dict(toxic=['0','1','toxic','1']), None, 'is a header line repeated?', 'ask'),
    'a repeated header among two': (dict(toxic=['0','1','toxic'], insult=['1','0','insult']), None, 'is a header line repeated?', 'ask'),
    'joined by a word': (dict(label=['a and b','a','b']), None, "label_delim=' and '", 'ask where the parts are classes'),
    'joined by a hyphen': (dict(label=['hate-insult','hate','insult']), None, "label_delim='-'", 'ask where the parts are classes'),
    'hashes': (dict(label=['#toxic #insult','#toxic']), None, "label_delim=' '", 'ask'),
    'commas of other scripts': (dict(label=['a，b','a','b']), None, "label_delim='，'", 'ask'),
    'two forms of a letter': (dict(label=['caf\u00e9','cafe\u0301','x']), None, 'spells one class in several ways', 'ask'),
    'a letter that nobody sees': (dict(label=['rude','rude\u200b','x']), None, 'spells one class in several ways', 'ask'),
    'empty dicts': (dict(label=[{},{}]), None, 'label', 'no task'),
    'empty lists': (dict(label=[[],[]]), None, "'label' has no label at all", 'no task'),
    'names for tags of numbers': (dict(label=[[0,2],[1]]), ['x','y','z'], "{0: 'kind', 1: 'rude'}", 'ask'),
    'tags in upper and lower case': (dict(label=[['Rude'],['rude','kind']]), None, "['Rude', 'rude']", 'ask, in lists too'),
    'lists among columns': (dict(toxic=[0,1], tags=[['a'],[]]), None, 'must be the only label column', 'one or the other'),
    'lists of fractions of any length': (dict(label=[[.5],[.5,.25]]), None, 'lists of numbers', 'neither names nor one for each class'),
    'only one name': (dict(label=['a','a']), None, "has only 'a' in 2 rows", 'no task'),
    'no label at all': (dict(label=[None,None]), None, "'label' has no label at all", 'no task')}

# case -> (columns, the error of training from the table, from what `load_comments` made of it, what was decided); None: it trains
one_sided = {
    'only 0': (dict(toxic=[0,0,0]), "'toxic' has only 0", "'toxic' has only 0", 'a fact in a table, a mistake in training'),
    'only 1, and gaps': (dict(toxic=[1,None,1]), "'toxic' has only 1", "'toxic' has only 1", 'the same'),
    'one of several columns': (dict(toxic=[0,0,0], insult=[0,1,0]), "'toxic' has only 0", None, '`Comments` declare their classes: a slice may lack one'),
    'a declared tag that no row has': (declared_tags([[1],[],[0,1]], ['b','a','c']), None, None, 'declared classes stay'),
    'a declared order, one class': (dict(label=ordered(['low','low'], ['low','high'])), "'label' has only 'low'", "'label' has only 'low'", 'nothing to learn')}

# Both doors

from toxicai.data.columns import cell_options
from toxicai.data.comments import labelled_frame
from toxicai.data.load import load_comments
from toxicai.data.loaders import ToxicityDataLoaders
from toxicai.labels import LabelSet,exclusive
from toxicai.test_utils import tiny_checkpoint

def source_of(cols):
    "The source and its label columns"
    if callable(cols): return cols(),['label']
    n = len(next(iter(cols.values())))
    columns = {k:pd.Series(list(v), dtype=object) if isinstance(v, list) and any(o is None or isinstance(o, (list,dict)) for o in v) else v for k,v in cols.items()}
    return pd.DataFrame(dict(text=[f'comment {i}' for i in range(n)], **columns)),list(cols)

def both_sides(o): return list(range(len(o))),list(range(len(o)))
def asked(o): return dict(o) if isinstance(o, Asked) else dict(classes=o)
def as_loaders(how): return {'vocab' if k=='classes' else k:v for k,v in how.items()}
def loaders(source, cols, classes=None): return ToxicityDataLoaders.from_df(source, tiny_checkpoint(), label_cols=cols, splitter=both_sides, bs=1, device='cpu', **as_loaders(asked(classes)))

def known(o): return None if o is None or o!=o else round(float(o), 6)
def frame_targets(df, cols, kind):
    if exclusive(kind): return [o if isinstance(o, str) else None for o in df[cols[0]]]
    return [tuple(map(known, o)) for o in df[cols].itertuples(index=False)]
def targets(ds, kind):
    "Targets as the loss sees them"
    ys = [y for _,y in ds]
    return [ds.vocab[int(y)] for y in ys] if exclusive(kind) else [tuple(map(known, np.atleast_1d(y.numpy()))) for y in ys]

@pytest.mark.filterwarnings('ignore:.*have no label')
@pytest.mark.parametrize('name', cases)
def test_doors_agree(name):
    cols,classes,kind,names,want,_ = cases[name]
    source,cols = source_of(cols)
    expected = LabelSet(names, kind)
    c = load_comments(source, 'text', cols, **asked(classes))
    assert c.labels==expected and frame_targets(c.to_frame(), c.label_cols, kind)==want
    dls = loaders(source, cols, classes)
    there = [o for o in want if o is not None]
    assert dls.labels==expected and list(dls.vocab)==names and targets(dls.train_ds, kind)==there
    how = asked(classes)
    data = labelled_frame(source, 'text', cols, how.pop('classes', None), cell_options(**how))
    assert len(data.df)==len(want) and frame_targets(data.df, data.cols, kind)==want

@pytest.mark.filterwarnings('ignore:.*have no label')
@pytest.mark.parametrize('name', cases)
def test_new_data_agrees(name):
    "The very data of training, with their labels, and the tidy ones of `load_comments`"
    cols,classes,kind,_,want,_ = cases[name]
    source,cols = source_of(cols)
    dls,tidy = loaders(source, cols, classes),load_comments(source, 'text', cols, **asked(classes))
    both = dls,ToxicityDataLoaders.from_df(tidy, tiny_checkpoint(), splitter=both_sides, bs=1, device='cpu')
    if None in want:
        for made in both:
            with pytest.raises(ValueError, match=f"{want.count(None)} of {len(want)} rows have no label in 'label'"): made.test_dl(source, with_labels=True)
        return
    for made in both:
        for o in (source, tidy, made.train_ds.items): assert targets(made.test_dl(o, with_labels=True).dataset, kind)==want

@pytest.mark.parametrize('name', errors)
def test_doors_refuse(name):
    cols,classes,message,_ = errors[name]
    source,cols = source_of(cols)
    for door in (lambda: load_comments(source, 'text', cols, **asked(classes)), lambda: loaders(source, cols, classes)):
        with pytest.raises(ValueError) as e: door()
        assert message in str(e.value)

@pytest.mark.parametrize('name', one_sided)
def test_one_sided(name):
    "A fact for `load_comments`; an error for training where nothing can be learnt, or where nobody declared the class"
    cols,*messages,_ = one_sided[name]
    source,cols = source_of(cols)
    data = load_comments(source, 'text', cols)
    assert set(data.counts())==set(data.labels)
    for message,o,how in zip(messages, (source,data), (dict(label_cols=cols),{})):
        def make(): return ToxicityDataLoaders.from_df(o, tiny_checkpoint(), splitter=both_sides, bs=1, **how)
        if message is None: assert list(make().vocab)==list(data.labels)
        else:
            with pytest.raises(ValueError) as e: make()
            assert message in str(e.value)

def test_ordinal_asks_for_the_order():
    df = pd.DataFrame(dict(text=list('abc'), level=['high','low','medium']))
    with pytest.raises(ValueError, match=r"needs the order of the levels.*`classes="): load_comments(df, 'text', 'level', kind='ordinal')
    given = load_comments(df, 'text', 'level', kind='ordinal', classes=['low','medium','high'])
    declared = load_comments(df.assign(level=ordered(df.level, ['low','medium','high'])), 'text', 'level', kind='ordinal')
    assert given.labels==declared.labels==LabelSet(['low','medium','high'], 'ordinal')

@pytest.mark.parametrize('as_names', [list, tuple, np.array, pd.Index, lambda o: dict.fromkeys(o).keys(), iter], ids='list tuple array Index keys iter'.split())
def test_names_of_columns(as_names):
    "Names come as anything that lists them"
    df = pd.DataFrame(dict(text=list('abcd'), toxic=[0,1,0,1], insult=[1,1,0,0]))
    assert list(load_comments(df, 'text', as_names(['toxic','insult'])).labels)==['toxic','insult']
    assert loaders(df, as_names(['toxic','insult'])).vocab==['toxic','insult']

def test_rows_stay():
    "No row is dropped, moved or merged; what a splitter and `valid_col` say is about the rows that were passed"
    df = pd.DataFrame(dict(text=[f'c{i}' for i in range(8)], label=['a',None,'b','b','a','nan','b','a'], v=[0,0,0,0,1,1,1,1]), index=list('abcdefgh'))
    with pytest.warns(UserWarning, match='2 of 8 rows have no label'): dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), valid_col='v', bs=2)
    assert dls.train_ds.items.text.tolist()==['c0','c2','c3'] and dls.valid_ds.items.text.tolist()==['c4','c6','c7'] and list(dls.train_ds.items.index)==['a','c','d']
    with pytest.warns(UserWarning, match='2 of 8'): dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), splitter=lambda o: ([7,6,5,4],[3,2,1,0]), bs=2)
    assert dls.train_ds.items.text.tolist()==['c7','c6','c4'] and dls.valid_ds.items.text.tolist()==['c3','c2','c0']
    data = load_comments(df, 'text', 'label')
    assert data['text'][:]==df.text.tolist()
    with pytest.warns(UserWarning, match='2 of 8'): dls = ToxicityDataLoaders.from_df(data, tiny_checkpoint(), splitter=lambda o: ([7,6,5,4],[3,2,1,0]), bs=2)
    assert dls.train_ds.items.text.tolist()==['c7','c6','c4']

def test_other_columns_stay():
    "What is neither text nor label is what it was, whatever it holds"
    df = pd.DataFrame(dict(text=list('abcd'), label=list('xyxy'), odd=[1,'a',None,{'b'}], when=pd.date_range('2024', periods=4)), index=[3,3,1,0])
    dls = loaders(df, 'label')
    pd.testing.assert_frame_equal(dls.train_ds.items[['odd','when']], df[['odd','when']])

def test_unknown_class_in_new_data():
    dls = loaders(pd.DataFrame(dict(text=list('ab'), label=list('xy'))), 'label')
    with pytest.raises(ValueError, match=r"labels \['z'\] of \['label'\] are not among"): dls.test_dl(pd.DataFrame(dict(text=['a'], label=['z'])), with_labels=True)
    assert dls.test_dl(pd.DataFrame(dict(text=['a'], label=['y'])), with_labels=True).dataset[0][1]==1

def test_labels_after_export(tmp_path):
    "A learner that was exported reads labels as before"
    from fastai.learner import load_learner
    from toxicai.train.learner import toxicity_learner
    df = pd.DataFrame(dict(text=[f'c{i}' for i in range(8)], tags=[['a'],['b'],[],['a','b']]*2))
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols='tags', bs=2, path=tmp_path)
    toxicity_learner(dls, precision='fp32').export()
    with pytest.warns(UserWarning): again = load_learner(tmp_path/'export.pkl')
    assert targets(again.dls.test_dl(df, with_labels=True).dataset, 'multi')==[(1,0),(0,1),(0,0),(1,1)]*2

# Declared orders and classes, door by door

levels = ['low','medium','high','extreme']
def graded(): return pd.DataFrame(dict(text=[f'comment {i}' for i in range(24)], label=ordered([['high','low','medium'][i%3] for i in range(24)], levels)))
def as_numbers_of(df): return hf.Dataset.from_dict(dict(text=df.text.tolist(), label=df.label.cat.codes.tolist())).cast_column('label', hf.ClassLabel(names=levels))

def written(df, path, how):
    "`df` in a file of some kind"
    if how=='parquet': df.to_parquet(path/'a.parquet')
    elif how=='row groups': df.to_parquet(path/'a.parquet', row_group_size=2)
    elif how=='feather': df.to_feather(path/'a.feather')
    elif how=='hub': as_numbers_of(df).to_parquet(path/'a.parquet')
    else: as_numbers_of(df).save_to_disk(path/'ds')
    return next(path.iterdir())

order_doors = {
    'frame': lambda df,p: df, 'Arrow table': lambda df,p: pa.Table.from_pandas(df), 'ClassLabel': lambda df,p: as_numbers_of(df),
    'parquet': lambda df,p: written(df, p, 'parquet'), 'row groups': lambda df,p: written(df, p, 'row groups'), 'feather': lambda df,p: written(df, p, 'feather'),
    'a file of the Hub': lambda df,p: written(df, p, 'hub'), 'saved to disk': lambda df,p: written(df, p, 'disk'), 'stream': lambda df,p: as_numbers_of(df).to_iterable_dataset(),
    'splits': lambda df,p: hf.DatasetDict(train=as_numbers_of(df).select(range(16)), validation=as_numbers_of(df).select(range(16, 24)))}

@pytest.mark.parametrize('door', order_doors)
def test_declared_order(door, tmp_path, monkeypatch):
    "Order and classes that a source declares stay, in comments, parts of them, loaders and new data"
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    (tmp_path/'data').mkdir()
    df,source = graded(),order_doors[door](graded(), tmp_path/'data')
    data = load_comments(source, 'text', 'label', kind='ordinal')
    assert data.labels==data.part('train[:2]').labels==LabelSet(levels, 'ordinal') and data['label'][:]==df.label.tolist()
    dls = ToxicityDataLoaders.from_df(data, tiny_checkpoint(), splitter=both_sides, bs=2, device='cpu')
    assert list(dls.vocab)==levels and targets(dls.test_dl(df, with_labels=True).dataset, 'ordinal')==df.label.tolist()

@pytest.mark.parametrize('labels', [lambda df: df.label, lambda df: df.label.array, lambda df: df.label[::-1][::-1], lambda df: pd.CategoricalIndex(df.label)], ids='Series Categorical view Index'.split())
def test_declared_order_of_lists(labels):
    dls = ToxicityDataLoaders.from_lists(graded().text, labels(graded()), tiny_checkpoint(), splitter=both_sides, bs=2)
    assert list(dls.vocab)==levels and targets(dls.train_ds, 'single')==graded().label.tolist()

def test_order_needs_no_row_group():
    "Parts of a table may know different levels, in one order"
    part = lambda codes,names: pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names), ordered=True)
    def table(*parts): return pa.table(dict(text=pa.chunked_array([list('ab')]*len(parts)), label=pa.chunked_array(parts, pa.dictionary(pa.int32(), pa.string(), ordered=True))))
    agree = table(part([0,1], ['low','high']), part([0,1], ['low','medium','high']))
    assert list(load_comments(agree, 'text', 'label').labels)==['low','medium','high']
    clash = table(part([0,1], ['low','high']), part([0,1], ['high','low']))
    with pytest.raises(ValueError, match='needs the order of the levels'): load_comments(clash, 'text', 'label', kind='ordinal')

def test_names_of_hub_files(tmp_path, monkeypatch):
    "Which class has the number 0 is in the schema of a file: a 1 need not be the toxic one"
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    names = hf.ClassLabel(names=['hateful','fine'])
    features = hf.Features(text=hf.Value('string'), label=names, tags=hf.List(names))
    ds = hf.Dataset.from_dict(dict(text=list('abc'), label=[1,0,-1], tags=[[1],[],[0,1]]), features=features)
    ds.to_parquet(tmp_path/'a.parquet')
    for o in (ds, tmp_path/'a.parquet'):
        c = load_comments(o, 'text', 'label')
        assert c.labels==LabelSet(['hateful','fine'], 'single') and c['label'][:]==['fine','hateful',None] and c['tags'][:]==[['fine'],[],['hateful','fine']]
        tags = load_comments(o, 'text', 'tags', keep=[])
        assert frame_targets(tags.to_frame(), ['fine','hateful'], 'multi')==[(1,0),(0,0),(1,1)]

# One column of two values

two_values = {'0 and 1':([0,1], ['0','1']), 'booleans':([False,True], ['False','True']), 'no and yes':(['no','yes'], ['no','yes'])}

@pytest.mark.parametrize('name', two_values)
def test_flag_or_two_classes(name, tmp_path, monkeypatch):
    "A flag in every door that reads columns; two classes, the harmless one first, where the user wrote a `CategoryBlock`"
    from fastai.text.all import CategoryBlock,ColReader,DataBlock
    from toxicai.data.loaders import TransformerTextBlock,labels_of
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    values,names = two_values[name]
    df = pd.DataFrame(dict(text=[f'comment {i}' for i in range(20)], toxic=values*10))
    df.to_csv(tmp_path/'a.csv', index=False),df.to_json(tmp_path/'a.jsonl', orient='records', lines=True)
    how = dict(label_cols='toxic', splitter=both_sides, bs=2)
    made = [ToxicityDataLoaders.from_df(df, tiny_checkpoint(), **how), ToxicityDataLoaders.from_csv(tmp_path/'a.csv', tiny_checkpoint(), **how),
            ToxicityDataLoaders.from_dataset(hf.Dataset.from_pandas(df), tiny_checkpoint(), **how)]
    assert [o.labels for o in made]==[load_comments(o, 'text', 'toxic').labels for o in (df, tmp_path/'a.csv', tmp_path/'a.jsonl')]==[LabelSet(['toxic'])]*3
    assert ToxicityDataLoaders.from_lists(df.text, df.toxic, tiny_checkpoint(), splitter=both_sides, bs=2).labels==LabelSet(['label'])
    block = DataBlock(blocks=(TransformerTextBlock(tiny_checkpoint()), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('toxic'), splitter=both_sides)
    dls = block.dataloaders(df, bs=2)
    assert labels_of(dls)==LabelSet(names, 'single') and [int(y) for _,y in dls.test_dl(df, with_labels=True).dataset]==[int(y) for _,y in dls.train_ds]==[0,1]*10

# Lists and rows

wrong_lists = {'a text':('abc', 'str'), 'a dict':({'a':1}, 'dict'), 'a set':({'x','y'}, 'set'), 'a frame':(pd.DataFrame(dict(a=[1])), 'DataFrame')}

@pytest.mark.parametrize('name', wrong_lists)
def test_what_is_no_list(name):
    o,what = wrong_lists[name]
    with pytest.raises(TypeError, match=f'`labels` is a {what}'): ToxicityDataLoaders.from_lists(list('abc'), o, tiny_checkpoint())
    with pytest.raises(TypeError, match=f'`texts` is a {what}'): ToxicityDataLoaders.from_lists(o, [0,1,0], tiny_checkpoint())

@pytest.mark.parametrize('as_labels', [np.array, torch.tensor, pd.Series, list, lambda o: pd.Series(o, index=[9,8,7,6])], ids='array tensor Series list index'.split())
def test_labels_of_any_sort(as_labels):
    flags,hot = ToxicityDataLoaders.from_lists(list('abcd'), as_labels([0,1,1,0]), tiny_checkpoint(), splitter=both_sides, bs=2),[[1,0],[0,1],[1,1],[0,0]]
    assert targets(flags.train_ds, 'multi')==[(0,),(1,),(1,),(0,)]
    tags = ToxicityDataLoaders.from_lists(list('abcd'), as_labels(hot), tiny_checkpoint(), splitter=both_sides, bs=2, vocab=['b','a'])
    assert list(tags.vocab)==['b','a'] and targets(tags.train_ds, 'multi')==[tuple(o) for o in hot]

def test_sets_have_no_order():
    df = pd.DataFrame(dict(text=list('abcd'), toxic=[0,1,0,1], insult=[1,1,0,0]))
    for door in (lambda **k: load_comments(df, 'text', **k), lambda **k: ToxicityDataLoaders.from_df(df, tiny_checkpoint(), **k)):
        with pytest.raises(TypeError, match='which has no order'): door(label_cols={'toxic','insult'})
    with pytest.raises(TypeError, match='which has no order'): load_comments(df, 'text', 'toxic', classes={'no','yes'})

def test_names_as_keys():
    "`label2id` is the other way round"
    df = pd.DataFrame(dict(text=list('abcd'), label=[0,1,0,1]))
    for door in (lambda **k: load_comments(df, 'text', 'label', **k), lambda classes: ToxicityDataLoaders.from_df(df, tiny_checkpoint(), vocab=classes)):
        with pytest.raises(TypeError, match='turn it round'): door(classes={'x':0,'y':1})

def test_fixed_lists():
    "Lists of one length in Arrow, with a gap"
    table = pa.table(dict(text=list('abc'), label=pa.array([[1,0],None,[0,1]], pa.list_(pa.int8(), 2))))
    c = load_comments(table, 'text', 'label', classes=['x','y'])
    assert frame_targets(c.to_frame(), ['x','y'], 'multi')==[(1,0),(None,None),(0,1)]

def test_columns_by_number():
    df = pd.DataFrame(dict(text=list('abcd'), toxic=[0,1,0,1]))
    with pytest.raises(KeyError, match="column 1 is called 'toxic'"): load_comments(df, 'text', 1)
    with pytest.raises(KeyError, match=r"no column 7 in the frame; expected names, of \['text', 'toxic'\]"): load_comments(df, 7)

def test_read_as_comments_were():
    "Loaders made of comments read new raw rows as `load_comments` read the old ones"
    df = pd.DataFrame(dict(text=list('abcd'), label=['x|y','x','','?']))
    data = load_comments(df, 'text', 'label', label_delim='|', na_values='?')
    dls = ToxicityDataLoaders.from_df(data, tiny_checkpoint(), splitter=both_sides, bs=2)
    assert targets(dls.test_dl(df, with_labels=True).dataset, 'multi')==[(1,1),(1,0),(0,0),(None,None)]
    with pytest.raises(ValueError, match='pass them to `load_comments`'): ToxicityDataLoaders.from_df(data, tiny_checkpoint(), label_delim='|')

def test_options_in_every_door(tmp_path, monkeypatch):
    "Files, lists and data sets take `label_delim` and `na_values` as frames do"
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    df = pd.DataFrame(dict(text=[f'comment {i}' for i in range(4)], label=['x|y','x','','-1']))
    df.to_csv(tmp_path/'a.csv', index=False),df.to_json(tmp_path/'a.jsonl', orient='records', lines=True)
    want,asked = [(1,1),(1,0),(0,0),(None,None)],dict(label_delim='|', na_values=[-1])
    for o in (df, tmp_path/'a.jsonl', tmp_path/'a.csv', df.to_dict('records'), pa.Table.from_pandas(df)):
        assert frame_targets(load_comments(o, 'text', 'label', **asked).to_frame(), ['x','y'], 'multi')==want
    how = dict(splitter=both_sides, bs=2, device='cpu', **asked)
    made = [ToxicityDataLoaders.from_lists(df.text, df.label, tiny_checkpoint(), **how), ToxicityDataLoaders.from_df(df.to_dict('records'), tiny_checkpoint(), **how),
            ToxicityDataLoaders.from_dataset(hf.Dataset.from_pandas(df), tiny_checkpoint(), **how)]
    for o in made: assert targets(o.train_ds, 'multi')==targets(o.test_dl(df, with_labels=True).dataset, 'multi')==want

def test_notes_of_cells():
    "What was read out of text is counted"
    df = pd.DataFrame(dict(text=list('abc'), label=["['x']",'["y"]','']))
    report = load_comments(df, 'text', 'label').report
    assert report=={"cells of 'label' that write a list or a dict as text":2, "rows without a label in 'label'":1}

def test_options_and_cache(tmp_path, monkeypatch):
    "The same file read in another way is another table"
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    (tmp_path/'a.csv').write_text('text,label\na,1\nb,0\nc,-1\n')
    with pytest.raises(ValueError, match='na_values'): load_comments(tmp_path/'a.csv', 'text', 'label')
    assert load_comments(tmp_path/'a.csv', 'text', 'label', na_values=-1)['label'][:]==[1.,0.,None]
    assert load_comments(tmp_path/'a.csv', 'text', 'label', classes=['-1','0','1'])['label'][:]==['1','0','-1']
    with pytest.raises(ValueError, match=r"leave out \['na_values'\]"): load_comments('davidson', na_values=-1)

@pytest.mark.parametrize('get_x', [lambda r: r['text'], lambda r: r.text], ids=['item','attribute'])
def test_rows_as_dicts(get_x):
    "Whatever reads rows of a frame in a `DataBlock` reads dicts too"
    from fastai.text.all import CategoryBlock,ColReader,DataBlock
    from toxicai.data.loaders import TransformerTextBlock
    from toxicai.train.learner import toxicity_learner
    df = pd.DataFrame(dict(text=['you fool','well done']*8, label=['rude','kind']*8))
    block = DataBlock(blocks=(TransformerTextBlock(tiny_checkpoint()), CategoryBlock), get_x=get_x, get_y=ColReader('label'), splitter=both_sides)
    learn = toxicity_learner(block.dataloaders(df, bs=4), precision='fp32')
    want = learn.classify(df.text.tolist()[:2])[['kind','rude']].to_numpy()
    for o in (df[:2].to_dict('records'), [dict(text=t) for t in df.text[:2]], df[:2]): np.testing.assert_allclose(learn.classify(o)[['kind','rude']].to_numpy(), want, atol=1e-6)
    with learn.no_bar(): np.testing.assert_allclose(learn.predict(dict(text='you fool'))[2], want[0], atol=1e-6)
