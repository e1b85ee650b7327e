namespace Llama3Cluster.Shards.Sampling;

/// <summary>
/// Finds the leading tokens of a distribution without sorting the vocabulary: by count (top-k) or by mass (top-p). Holds the
/// scratch for one distribution at a time.
/// </summary>
internal sealed class CandidateSet(int vocabularySize)
{
    private readonly Candidate[] _candidates = new Candidate[vocabularySize];

    private record struct Candidate(TokenRank Rank, double Weight);

    /// <summary>The cut after the <paramref name="count"/> best tokens.</summary>
    public TokenRank CutAfter(ReadOnlySpan<float> logits, int count)
    {
        int kept = Collect(logits, count, out bool all);
        return all ? TokenRank.KeepAll : _candidates[kept - 1].Rank;
    }

    /// <summary>Fills <paramref name="best"/> with the best tokens, best first, and returns how many have a finite logit.</summary>
    public int Best(ReadOnlySpan<float> logits, Span<TokenRank> best)
    {
        if (best.IsEmpty)
            return 0;
        int kept = Collect(logits, best.Length, out _);
        for (int i = 0; i < kept; i++)
            best[i] = _candidates[i].Rank;
        best[..kept].Sort();
        return kept;
    }

    /// <summary>
    /// The cut after the smallest leading set whose weights reach <paramref name="fraction"/> of <paramref name="total"/>, among
    /// the tokens that <paramref name="cut"/> keeps; <paramref name="total"/> is their sum. Weights are
    /// <c>exp((logit - max) * inverseTemperature)</c>.
    /// </summary>
    public TokenRank CutAtMass(
        ReadOnlySpan<float> logits, TokenRank cut, double fraction, double total, double max, double inverseTemperature)
    {
        // All tokens lighter than (1 - fraction) * total / n together weigh less than the filter drops anyway, so none of them
        // is in the set; half of that bound leaves room for rounding. Usually a few hundred tokens remain.
        double lightest = 0.5 * (1 - fraction) * total / logits.Length;
        float floor = MathF.Max(cut.Logit, (float)(max + (Math.Log(lightest) / inverseTemperature)));
        int count = 0;
        int token = -1;
        while ((token = LogitScan.NextAtLeast(logits, token + 1, floor)) < logits.Length)
        {
            float logit = logits[token];
            if (cut.Keeps(logit, token))
                _candidates[count++] = new Candidate(TokenRank.Of(logit, token), Math.Exp((logit - max) * inverseTemperature));
        }

        return SelectMass(_candidates.AsSpan(0, count), fraction * total);
    }

    /// <summary>
    /// Moves the <paramref name="count"/> best tokens to the front of the scratch, the least of them last unless
    /// <paramref name="all"/> tokens with a finite logit are among them. Returns how many there are.
    /// </summary>
    private int Collect(ReadOnlySpan<float> logits, int count, out bool all)
    {
        // The running count-th best logit is a rising floor that few later tokens pass. Ids ascend, so that a later token of an
        // equal logit loses the tie: the floor lies just above.
        int limit = (int)Math.Min(logits.Length, Math.Max(2L * count, count + 512L));
        float floor = float.MinValue;
        int kept = 0;
        all = true;
        int token = -1;
        while ((token = LogitScan.NextAtLeast(logits, token + 1, floor)) < logits.Length)
        {
            _candidates[kept++] = new Candidate(TokenRank.Of(logits[token], token), 0);
            if (kept == limit && kept > count)
            {
                SelectCount(_candidates.AsSpan(0, kept), count);
                (kept, all) = (count, false);
                floor = MathF.BitIncrement(_candidates[count - 1].Rank.Logit);
            }
        }

        if (kept > count || !all)
        {
            SelectCount(_candidates.AsSpan(0, kept), count);
            (kept, all) = (count, false);
        }

        return kept;
    }

    /// <summary>Quickselect (Hoare, 1961): then the first <paramref name="count"/> are the best, the last of them the least.</summary>
    private static void SelectCount(Span<Candidate> candidates, int count)
    {
        int left = 0, right = candidates.Length - 1, wanted = count - 1;
        while (left < right)
        {
            var (better, worse) = Partition(candidates, left, right);
            if (wanted <= better)
                right = better;
            else if (wanted >= worse)
                left = worse;
            else
                return;
        }
    }

    /// <summary>Quickselect by weight instead of by count: the rank at which the running sum of the best reaches the target.</summary>
    private static TokenRank SelectMass(Span<Candidate> candidates, double target)
    {
        int left = 0, right = candidates.Length - 1;
        double before = 0;
        while (left < right)
        {
            var (better, worse) = Partition(candidates, left, right);
            double mass = 0;
            foreach (ref readonly var candidate in candidates[left..(better + 1)])
                mass += candidate.Weight;
            if (better >= left && before + mass >= target)
            {
                right = better;
                continue;
            }

            before += mass;
            for (int middle = better + 1; middle < worse; middle++)
            {
                before += candidates[middle].Weight;
                if (before >= target)
                    return candidates[middle].Rank;
            }

            left = worse;
        }

        return candidates[right].Rank;
    }

    /// <summary>
    /// Hoare's partition of [left, right] about a median of three: [left, Better] ranks above the pivot, [Worse, right] below;
    /// between them lies the pivot or nothing. Both parts are shorter than the whole.
    /// </summary>
    private static (int Better, int Worse) Partition(Span<Candidate> candidates, int left, int right)
    {
        ulong low = candidates[left].Rank.Key, high = candidates[right].Rank.Key;
        ulong middle = candidates[left + ((right - left) / 2)].Rank.Key;
        ulong pivot = Math.Max(Math.Min(low, middle), Math.Min(Math.Max(low, middle), high));
        int i = left, j = right;
        while (i <= j)
        {
            while (candidates[i].Rank.Key > pivot)
                i++;
            while (candidates[j].Rank.Key < pivot)
                j--;
            if (i <= j)
            {
                (candidates[i], candidates[j]) = (candidates[j], candidates[i]);
                i++;
                j--;
            }
        }

        return (j, i);
    }
}
