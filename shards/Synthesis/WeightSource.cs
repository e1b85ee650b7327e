using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>
/// Random weights as a pure function of (seed, tensor, row, column), in Hugging Face's row order. Matrices have standard deviation
/// 1 / sqrt(columns), so that a projection keeps the size of what it is given; the gains of norms are near 1. Integer arithmetic
/// makes the numbers, so every machine makes the same ones.
/// </summary>
internal sealed class WeightSource(ulong seed, LlamaConfig config)
{
    private const int ElementsPerDraw = 4;
    private const float GainDeviation = 0.1f;

    // The sum of four random bytes: near enough to normal, with mean 4 x 127.5 and variance 4 x (256^2 - 1) / 12.
    private const int SumMean = 510;
    private static readonly float SumDeviation = MathF.Sqrt(21845);

    /// <summary>Makes one row of a tensor, whose length is a multiple of 4.</summary>
    public void Fill(TensorRole role, int layer, int row, Span<float> destination)
    {
        float scale = (role.IsNorm() ? GainDeviation : 1 / MathF.Sqrt(role.ShapeIn(config).Columns)) / SumDeviation;
        uint tensor = ((uint)layer << 8) | (uint)role;
        for (int column = 0; column < destination.Length; column += ElementsPerDraw)
        {
            (uint a, uint b, uint c, uint d) = CounterRandom.Philox(
                (uint)(column / ElementsPerDraw), (uint)row, tensor, 0, (uint)seed, (uint)(seed >> 32));
            destination[column] = Centred(a) * scale;
            destination[column + 1] = Centred(b) * scale;
            destination[column + 2] = Centred(c) * scale;
            destination[column + 3] = Centred(d) * scale;
        }

        if (!role.IsNorm())
            return;

        // bfloat16's values between 1/2 and 2 are exact in every plain format, so norms are equal in all files of one seed.
        foreach (ref float gain in destination)
            gain = Bf16.ToSingle(Bf16.FromSingle(1 + gain));
    }

    private static int Centred(uint word) =>
        (int)((word & 0xFF) + ((word >> 8) & 0xFF) + ((word >> 16) & 0xFF) + (word >> 24)) - SumMean;
}
