using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Execution.Replay;

/// <summary>
/// What each KV block of a stage holds: its tokens, and which contents of which block come before. So a stage can tell, whatever a
/// plan or a replica makes of its blocks, whether a row's keys and values are there already. Outlives an epoch as the KV memory does.
/// </summary>
/// <remarks>
/// The keys and values of a position are a function of all tokens up to it (batch invariance: in the same bits whenever they are
/// computed). A block's contents carry a stamp: a new one when they begin and when anything of them is replaced, the same one while
/// rows are appended. A full block under one stamp therefore stands for one text, and by induction over the blocks before it, a row is
/// held exactly if its token, and the block and stamp before it, are those recorded.
/// </remarks>
internal sealed class BlockRecords
{
    /// <summary>The predecessor of a sequence's first block.</summary>
    public const int None = -1;

    private const long Unknown = 0;

    private readonly Block[] _blocks;
    private readonly int[] _tokens;
    private long _stamps;

    /// <summary>Creates records of so many blocks, nothing known of any.</summary>
    public BlockRecords(int blocks)
    {
        _blocks = new Block[blocks];
        _tokens = new int[checked(blocks * KvShape.BlockSize)];
    }

    /// <summary>Records that tokens are stored from an offset of a block on, behind the block before it.</summary>
    /// <returns>
    /// How many leading rows of the block are what they were: those of the tokens among them, from <paramref name="offset"/> on, were held.
    /// </returns>
    public int Store(int block, int previous, int offset, ReadOnlySpan<int> tokens)
    {
        ref Block known = ref _blocks[block];
        if (known.Stamp == Unknown || !Follows(known, previous))
        {
            known = default;
            if (offset > 0 || !IsFull(previous))
                return 0; // what came before is not known, so neither is this
            known = new Block { Stamp = ++_stamps, Previous = previous, PreviousStamp = StampOf(previous) };
        }

        Span<int> recorded = _tokens.AsSpan(block * KvShape.BlockSize, KvShape.BlockSize);
        int same = recorded[Math.Min(offset, known.Count)..known.Count].CommonPrefixLength(tokens);
        if (same == tokens.Length)
            return KvShape.BlockSize;
        int from = offset + same;
        if (from > known.Count)
        {
            known = default;
            return 0;
        }

        if (from < known.Count)
            known.Stamp = ++_stamps;
        tokens[same..].CopyTo(recorded[from..]);
        known.Count = offset + tokens.Length;
        return from;
    }

    /// <summary>Whether it is known what a block holds at an offset.</summary>
    public bool Knows(int block, int offset) => _blocks[block].Stamp != Unknown && offset < _blocks[block].Count;

    /// <summary>Forgets everything: what the blocks hold is not known.</summary>
    public void Clear() => Array.Clear(_blocks);

    private bool Follows(in Block known, int previous) =>
        known.Previous == previous && known.PreviousStamp == StampOf(previous) && IsFull(previous);

    private long StampOf(int block) => block == None ? Unknown : _blocks[block].Stamp;

    private bool IsFull(int block) => block == None || (_blocks[block].Stamp != Unknown && _blocks[block].Count == KvShape.BlockSize);

    private struct Block
    {
        public long Stamp;
        public long PreviousStamp;
        public int Previous;
        public int Count;
    }
}
