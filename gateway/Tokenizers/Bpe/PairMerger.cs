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

    // Element: the pair that was seen. Priority: its rank, then its position.
    private readonly PriorityQueue<ulong, ulong> _candidates = new();
    private int[] _next = [];
    private int[] _previous = [];

    /// <summary>Merges in place.</summary>
    /// <returns>How many symbols are left; they lie at the start of the span.</returns>
    public int Merge(Span<int> symbols)
    {
        if (symbols.Length < 2)
            return symbols.Length;

        Link(symbols.Length);
        for (int position = 0; position < symbols.Length - 1; position++)
            Offer(symbols, position);

        while (_candidates.TryDequeue(out ulong pair, out ulong priority))
        {
            int left = (int)(uint)priority;
            int right = _next[left];

            // A candidate is stale once one of its symbols has been merged with another neighbour.
            if (right == symbols.Length || MergeTable.Pair(symbols[left], symbols[right]) != pair)
                continue;

            table.TryGet(pair, out MergeTable.Merge merge);
            symbols[left] = merge.Token;
            symbols[right] = Removed;
            Unlink(right, symbols.Length);

            if (_previous[left] >= 0)
                Offer(symbols, _previous[left]);
            if (_next[left] < symbols.Length)
                Offer(symbols, left);
        }

        return Compact(symbols);
    }

    private void Link(int count)
    {
        if (_next.Length < count)
        {
            _next = new int[count];
            _previous = new int[count];
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

    private void Offer(Span<int> symbols, int position)
    {
        ulong pair = MergeTable.Pair(symbols[position], symbols[_next[position]]);
        if (table.TryGet(pair, out MergeTable.Merge merge))
            _candidates.Enqueue(pair, ((ulong)(uint)merge.Rank << 32) | (uint)position);
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
