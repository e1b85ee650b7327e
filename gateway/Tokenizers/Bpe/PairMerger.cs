namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// Joins neighbouring symbols by a <see cref="MergeTable"/>: always the pair of the lowest rank, the leftmost of equals.
/// A queue of candidates over a linked list makes it O(n log n) without recursion. The merge steps of Microsoft.ML.Tokenizers
/// 2.0.1 search the whole text anew for every merge: a pre-token of 1 MB, which any client may send, kept its
/// <c>TiktokenTokenizer</c> busy for six minutes and its <c>BpeTokenizer</c> for one to two.
/// One instance serves one encoding at a time; it keeps its buffers between calls.
/// </summary>
internal sealed class PairMerger(MergeTable table)
{
    private const int Removed = int.MinValue;
    private const int NoMerge = -1;

    // Positions, in the order of their rank and then from left to right: both are in the priority.
    private readonly PriorityQueue<int, ulong> _candidates = new();
    private int[] _next = [];
    private int[] _previous = [];

    // The merge of the pair that starts at each position now: its rank, and the token it makes.
    private int[] _rank = [];
    private int[] _token = [];

    /// <summary>Merges in place.</summary>
    /// <returns>How many symbols are left; they lie at the start of the span.</returns>
    public int Merge(Span<int> symbols)
    {
        Link(symbols.Length);
        for (int position = 0; position < symbols.Length; position++)
            Offer(symbols, position);

        while (_candidates.TryDequeue(out int left, out ulong priority))
        {
            // A candidate is stale once one of its symbols has been merged with another neighbour.
            if (_rank[left] != (int)(priority >> 32))
                continue;

            int right = _next[left];
            symbols[left] = _token[left];
            symbols[right] = Removed;
            _rank[right] = NoMerge;
            Unlink(right, symbols.Length);

            Offer(symbols, left);
            if (_previous[left] >= 0)
                Offer(symbols, _previous[left]);
        }

        return Compact(symbols);
    }

    private void Link(int count)
    {
        if (_next.Length < count)
        {
            _next = new int[count];
            _previous = new int[count];
            _rank = new int[count];
            _token = new int[count];
        }

        for (int position = 0; position < count; position++)
        {
            _next[position] = position + 1;
            _previous[position] = position - 1;
        }
    }

    private void Unlink(int position, int count)
    {
        int next = _next[position];
        int previous = _previous[position];
        _next[previous] = next;
        if (next < count)
            _previous[next] = previous;
    }

    /// <summary>Notes the merge of a symbol with its right neighbour, if there is one.</summary>
    private void Offer(Span<int> symbols, int position)
    {
        int right = _next[position];
        if (right < symbols.Length && table.TryGet(symbols[position], symbols[right], out MergeTable.Merge merge))
        {
            _rank[position] = merge.Rank;
            _token[position] = merge.Token;
            _candidates.Enqueue(position, ((ulong)(uint)merge.Rank << 32) | (uint)position);
        }
        else
        {
            _rank[position] = NoMerge;
        }
    }

    private static int Compact(Span<int> symbols)
    {
        int count = 0;
        foreach (int symbol in symbols)
        {
            if (symbol != Removed)
                symbols[count++] = symbol;
        }

        return count;
    }
}
