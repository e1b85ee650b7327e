using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Actors.Scheduling;

/// <summary>
/// Hands out the KV blocks of a replica, and finds full blocks again whose tokens and predecessors are the same (prefix cache).
/// A freed block keeps its contents until it is handed out again, the longest-free first.
/// </summary>
/// <remarks>
/// The identity of a cached block is exact, not a hash: its 16 tokens, and the very incarnation of the block before it. So two
/// prompts never share a block by accident or by design. A block that an earlier pipeline filled is <em>stale</em>: its rows must be
/// scheduled again, but in the same place, where stages that survived may still hold them and need not compute them.
/// </remarks>
public sealed class BlockManager
{
    private const int None = -1;

    private readonly Block[] _blocks;
    private readonly int[] _tokens;
    private readonly Dictionary<BlockKey, int> _cached = [];
    private int _oldestFree = None;
    private int _newestFree = None;
    private long _incarnations;
    private long _epoch;

    /// <summary>Creates a manager of so many blocks, all free.</summary>
    public BlockManager(int blocks)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(blocks);
        _blocks = new Block[blocks];
        _tokens = new int[blocks * KvShape.BlockSize];
        for (int i = 0; i < blocks; i++)
            PushFree(i);
    }

    /// <summary>All blocks.</summary>
    public int Count => _blocks.Length;

    /// <summary>Blocks that no sequence holds.</summary>
    public int FreeCount { get; private set; }

    /// <summary>Takes a free block.</summary>
    public bool TryAllocate(out int block)
    {
        block = _oldestFree;
        if (block == None)
            return false;
        RemoveFree(block);
        Forget(block);
        _blocks[block].References = 1;
        return true;
    }

    /// <summary>Gives back a sequence's references; its last block first, so that a prefix outlives what follows it.</summary>
    public void Release(List<int> blocks)
    {
        for (int i = blocks.Count - 1; i >= 0; i--)
        {
            ref Block block = ref _blocks[blocks[i]];
            if (block.References <= 0)
                throw new InvalidOperationException($"KV block {blocks[i]} was released more often than taken");
            if (--block.References == 0)
                PushFree(blocks[i]);
        }

        blocks.Clear();
    }

    /// <summary>Another pipeline is there: all that is cached is stale.</summary>
    public void Expire() => _epoch++;

    /// <summary>Takes references to the cached blocks that the tokens begin with, stale ones too, and adds them to <paramref name="blocks"/>.</summary>
    /// <returns>How many positions need not be scheduled again: those before the first stale block.</returns>
    public int TakePrefix(ReadOnlySpan<int> tokens, List<int> blocks)
    {
        int fresh = 0;
        for (int parent = None; tokens.Length >= KvShape.BlockSize; tokens = tokens[KvShape.BlockSize..])
        {
            ReadOnlySpan<int> wanted = tokens[..KvShape.BlockSize];
            if (!_cached.TryGetValue(KeyOf(parent, wanted), out int block) || !TokensOf(block).SequenceEqual(wanted))
                break;
            if (_blocks[block].References++ == 0)
                RemoveFree(block);
            if (fresh == blocks.Count * KvShape.BlockSize && !IsStale(block))
                fresh += KvShape.BlockSize;
            blocks.Add(block);
            parent = block;
        }

        return fresh;
    }

    /// <summary>Makes a full block findable for prompts that begin alike. One that was stale is so no more.</summary>
    /// <param name="block">The block.</param>
    /// <param name="parent">The block before it in its sequence; null for the first.</param>
    /// <param name="tokens">Its tokens.</param>
    /// <returns>Whether it can be found now; false when its predecessor cannot, or an equal block was cached before.</returns>
    public bool Cache(int block, int? parent, ReadOnlySpan<int> tokens)
    {
        if (_blocks[block].Incarnation != 0)
        {
            _blocks[block].Epoch = _epoch;
            return true;
        }

        if (parent is { } p && _blocks[p].Incarnation == 0)
            return false;
        return TryIdentify(block, KeyOf(parent ?? None, tokens), tokens);
    }

    /// <summary>Remembers what a block holds that is not full: the sequence that goes on with these tokens takes it, and no other one.</summary>
    /// <param name="block">The block.</param>
    /// <param name="parent">The block before it in its sequence; null for the first.</param>
    /// <param name="tokens">Its tokens, at least one.</param>
    public void KeepTail(int block, int? parent, ReadOnlySpan<int> tokens)
    {
        if (parent is { } p && _blocks[p].Incarnation == 0)
            return;
        _ = TryIdentify(block, TailKeyOf(parent ?? None, tokens[0]), tokens);
    }

    /// <summary>Takes the block that was not full when it was kept and holds what comes next, if it is free.</summary>
    /// <param name="tokens">Tokens behind those of <paramref name="blocks"/>.</param>
    /// <param name="blocks">The sequence's blocks so far, all full; the tail is added.</param>
    /// <returns>How many of the tokens it holds.</returns>
    public int TakeTail(ReadOnlySpan<int> tokens, List<int> blocks)
    {
        if (tokens.IsEmpty || !_cached.TryGetValue(TailKeyOf(blocks.Count == 0 ? None : blocks[^1], tokens[0]), out int block))
            return 0;
        int count = _blocks[block].Count;
        if (_blocks[block].References > 0 || !tokens.StartsWith(TokensOf(block)[..count]))
            return 0;
        RemoveFree(block);
        Forget(block);
        _blocks[block].References = 1;
        blocks.Add(block);
        return count;
    }

    private bool IsStale(int block) => _blocks[block].Epoch != _epoch;

    private bool TryIdentify(int block, BlockKey key, ReadOnlySpan<int> tokens)
    {
        if (_cached.TryGetValue(key, out int equal) && IsStale(equal))
            Forget(equal);
        if (!_cached.TryAdd(key, block))
            return false;
        tokens.CopyTo(TokensOf(block));
        _blocks[block].Count = tokens.Length;
        _blocks[block].Incarnation = ++_incarnations;
        _blocks[block].Epoch = _epoch;
        _blocks[block].Key = key;
        return true;
    }

    private void Forget(int block)
    {
        if (_blocks[block].Incarnation == 0)
            return;
        _cached.Remove(_blocks[block].Key);
        _blocks[block].Incarnation = 0;
    }

    private BlockKey KeyOf(int parent, ReadOnlySpan<int> tokens)
    {
        var hash = default(HashCode);
        foreach (int token in tokens)
            hash.Add(token);
        return new BlockKey(IncarnationOf(parent), hash.ToHashCode(), IsTail: false);
    }

    private BlockKey TailKeyOf(int parent, int firstToken) => new(IncarnationOf(parent), firstToken, IsTail: true);

    private long IncarnationOf(int parent) => parent == None ? 0 : _blocks[parent].Incarnation;

    private Span<int> TokensOf(int block) => _tokens.AsSpan(block * KvShape.BlockSize, KvShape.BlockSize);

    private void PushFree(int block)
    {
        _blocks[block].Older = _newestFree;
        _blocks[block].Newer = None;
        if (_newestFree == None)
            _oldestFree = block;
        else
            _blocks[_newestFree].Newer = block;
        _newestFree = block;
        FreeCount++;
    }

    private void RemoveFree(int block)
    {
        (int older, int newer) = (_blocks[block].Older, _blocks[block].Newer);
        if (older == None)
            _oldestFree = newer;
        else
            _blocks[older].Newer = newer;
        if (newer == None)
            _newestFree = older;
        else
            _blocks[newer].Older = older;
        FreeCount--;
    }

    // Incarnation 0 means not cached; Epoch is that of the pipeline that filled it. Older and Newer link the free blocks.
    private struct Block
    {
        public int References;
        public int Older;
        public int Newer;
        public int Count;
        public long Incarnation;
        public long Epoch;
        public BlockKey Key;
    }

    // Tokens are compared on a hit, so the hash only has to be good, not exact. A tail is found by its first token.
    private readonly record struct BlockKey(long ParentIncarnation, int TokensHash, bool IsTail);
}
