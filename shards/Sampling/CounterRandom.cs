namespace Llama3Cluster.Shards.Sampling;

/// <summary>
/// Random numbers without a state: a pure function of (seed, index), so that a replay draws what the first run drew, in any
/// order and on any machine. The generator is Philox4x32-10.
/// </summary>
/// <remarks>
/// Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. The seed is the key and the index is
/// the counter, so that neighbouring seeds and neighbouring indices give unrelated numbers.
/// </remarks>
public static class CounterRandom
{
    private const int Rounds = 10;

    // The paper's multipliers and Weyl increments (the golden ratio and sqrt(3) - 1, as 32-bit fractions).
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;

    /// <summary>A double in [0, 1): 53 random bits.</summary>
    public static double UniformDouble(ulong seed, ulong index)
    {
        var (word0, word1, _, _) = Philox((uint)index, (uint)(index >> 32), 0, 0, (uint)seed, (uint)(seed >> 32));
        return ((((ulong)word0 << 32) | word1) >> 11) * (1.0 / (1L << 53));
    }

    /// <summary>A float in [0, 1): the leading 24 bits of <see cref="UniformDouble"/>'s.</summary>
    public static float UniformSingle(ulong seed, ulong index)
    {
        var (word0, _, _, _) = Philox((uint)index, (uint)(index >> 32), 0, 0, (uint)seed, (uint)(seed >> 32));
        return (word0 >> 8) * (1f / (1 << 24));
    }

    /// <summary>The bijection itself: four words of counter and two of key to four random words.</summary>
    internal static (uint Word0, uint Word1, uint Word2, uint Word3) Philox(
        uint counter0, uint counter1, uint counter2, uint counter3, uint key0, uint key1)
    {
        for (int round = 0; round < Rounds; round++)
        {
            ulong product0 = (ulong)Multiplier0 * counter0, product1 = (ulong)Multiplier1 * counter2;
            (counter0, counter1, counter2, counter3) =
                ((uint)(product1 >> 32) ^ counter1 ^ key0, (uint)product1, (uint)(product0 >> 32) ^ counter3 ^ key1, (uint)product0);
            unchecked
            {
                key0 += Weyl0;
                key1 += Weyl1;
            }
        }

        return (counter0, counter1, counter2, counter3);
    }
}
