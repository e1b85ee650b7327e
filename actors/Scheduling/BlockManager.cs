using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Actors.Scheduling;

/// <summary>
/// Hands out the KV blocks of a replica, and finds full blocks again whose tokens and predecessors are the same (prefix cache).
/// A freed block keeps its contents until it is handed out again, the longest-free first.
/// </summary>
/// <remarks>
/// The identity of a cached block is exact, not a hash: its 16 tokens, and the very incarnation of the block before it. So two
/// prompts never share a block by accident or by design.
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

    /// <summary>Takes references to the cached blocks that the tokens begin with, and adds them to <paramref name="blocks"/>.</summary>
    /// <returns>How many positions they hold.</returns>
    public int TakePrefix(ReadOnlySpan<int> tokens, List<int> blocks)
    {
        int found = 0;
        for (int parent = None; tokens.Length >= KvShape.BlockSize; tokens = tokens[KvShape.BlockSize..])
        {
            ReadOnlySpan<int> wanted = tokens[..KvShape.BlockSize];
            if (!_cached.TryGetValue(KeyOf(parent, wanted), out int block) || !TokensOf(block).SequenceEqual(wanted))
                break;
            if (_blocks[block].References++ == 0)
                RemoveFree(block);
            blocks.Add(block);
            found += KvShape.BlockSize;
            parent = block;
        }

        return found;
    }

    /// <summary>Makes a full block findable for prompts that begin alike.</summary>
    /// <param name="block">The block.</param>
    /// <param name="parent">The block before it in its sequence; null for the first.</param>
    /// <param name="tokens">Its tokens.</param>
    /// <returns>Whether it can be found now; false when its predecessor cannot, or an equal block was cached before.</returns>
    public bool Cache(int block, int? parent, ReadOnlySpan<int> tokens)
    {
        if (parent is { } p && _blocks[p].Incarnation == 0)
            return false;
        BlockKey key = KeyOf(parent ?? None, tokens);
        if (!_cached.TryAdd(key, block))
            return false;
        tokens.CopyTo(TokensOf(block));
        _blocks[block].Incarnation = ++_incarnations;
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
        return new BlockKey(parent == None ? 0 : _blocks[parent].Incarnation, hash.ToHashCode());
    }

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

    // Incarnation 0 means not cached. Older and Newer link the free blocks.
    private struct Block
    {
        public int References;
        public int Older;
        public int Newer;
        public long Incarnation;
        public BlockKey Key;
    }

    // Tokens are compared on a hit, so the hash only has to be good, not exact.
    private readonly record struct BlockKey(long ParentIncarnation, int TokensHash);
}
