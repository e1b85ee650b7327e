using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>What each token id stands for: bytes of text, or nothing for a special token.</summary>
internal sealed class Vocabulary
{
    /// <summary>Ids beyond this are taken for a damaged file; the largest vocabularies have a quarter million.</summary>
    private const int MaximumSize = 1 << 22;

    private readonly List<byte[]?> _pieces = [];
    private readonly Dictionary<string, int> _special = [];
    private readonly HashSet<int> _specialIds = [];
    private readonly string _source;

    /// <summary>Creates an empty vocabulary.</summary>
    /// <param name="source">The file's name, for messages.</param>
    public Vocabulary(string source) => _source = source;

    /// <summary>One more than the largest id.</summary>
    public int Size => _pieces.Count;

    /// <summary>The special tokens by name.</summary>
    public IReadOnlyDictionary<string, int> Special => _special;

    /// <summary>The text of a token; nothing for a special one and for an id that the file leaves out.</summary>
    public ReadOnlyMemory<byte> Bytes(int token) => _pieces[token];

    /// <summary>Whether the id stands for text.</summary>
    public bool IsText(int token) => token >= 0 && token < Size && _pieces[token] is not null;

    /// <summary>The id of a special token that the model cannot do without.</summary>
    /// <param name="name">The token.</param>
    /// <param name="namedBy">The file that names it.</param>
    public int RequireSpecial(string name, string namedBy) => _special.TryGetValue(name, out int id)
        ? id
        : throw new ModelFileException($"{namedBy}: the start token {name} is not among the special tokens of {_source}");

    /// <summary>Adds a token of text.</summary>
    public void AddText(int id, byte[] bytes)
    {
        Reserve(id);
        if (_pieces[id] is not null || _specialIds.Contains(id))
            throw new ModelFileException($"{_source}: two tokens have the id {id}");
        _pieces[id] = bytes;
    }

    /// <summary>Adds a special token.</summary>
    public void AddSpecial(int id, string name)
    {
        Reserve(id);
        if (_pieces[id] is not null || !_specialIds.Add(id))
            throw new ModelFileException($"{_source}: the special token {name} has the id {id} of another token");
        if (!_special.TryAdd(name, id))
            throw new ModelFileException($"{_source}: the special token {name} has the ids {_special[name]} and {id}");
    }

    private void Reserve(int id)
    {
        if (id is < 0 or >= MaximumSize)
            throw new ModelFileException($"{_source}: token id {id} is outside 0 to {MaximumSize - 1}");
        while (_pieces.Count <= id)
            _pieces.Add(null);
    }
}
