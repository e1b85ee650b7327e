namespace Llama3Cluster.Shards.Sampling;

/// <summary>
/// Sums and draws from the weights <c>exp((logit - max) * inverseTemperature)</c> of the tokens that a cut keeps, by inversion of
/// the cumulative distribution in the order of token ids. Keeps a sum for each block of the vocabulary, so that a draw weighs
/// again only the block it falls into. The order of ids, unlike that of logits, does not change when logits change in their last bits.
/// </summary>
internal sealed class TokenDraw(int vocabularySize)
{
    private const int BlockSize = 512;

    private readonly double[] _blockSums = new double[(vocabularySize + BlockSize - 1) / BlockSize];

    /// <summary>The sum of the kept tokens' weights; the following <see cref="Draw"/> relies on it.</summary>
    public double Sum(ReadOnlySpan<float> logits, TokenRank cut, double max, double inverseTemperature)
    {
        // Of the tokens whose logit equals the cut's, those up to the cut's id are kept: beyond it the floor is one step higher.
        float floor = cut.Logit, floorBeyond = MathF.BitIncrement(floor);
        double total = 0;
        for (int block = 0; block < _blockSums.Length; block++)
        {
            int start = block * BlockSize, end = Math.Min(start + BlockSize, logits.Length);
            int split = Math.Clamp(cut.Token, start - 1, end - 1) + 1;
            double sum = LogitScan.SumExp(logits[start..split], floor, max, inverseTemperature)
                + LogitScan.SumExp(logits[split..end], floorBeyond, max, inverseTemperature);
            _blockSums[block] = sum;
            total += sum;
        }

        return total;
    }

    /// <summary>The token at which the running sum of weights passes <paramref name="target"/>, in [0, the last sum).</summary>
    public int Draw(ReadOnlySpan<float> logits, TokenRank cut, double max, double inverseTemperature, double target)
    {
        double rest = target;
        int drawn = -1;
        for (int block = 0; block < _blockSums.Length; block++)
        {
            if (_blockSums[block] == 0)
                continue;
            drawn = block;
            if (rest < _blockSums[block])
                break;
            rest -= _blockSums[block];
        }

        // Rounding may leave the target just past the last weight of its block, or of all: that last token is then drawn.
        int token = -1;
        int end = Math.Min((drawn + 1) * BlockSize, logits.Length);
        for (int i = drawn * BlockSize; i < end; i++)
        {
            if (!cut.Keeps(logits[i], i))
                continue;
            token = i;
            double weight = Math.Exp((logits[i] - max) * inverseTemperature);
            if (rest < weight)
                break;
            rest -= weight;
        }

        return token;
    }
}
