using Llama3Cluster.Kernels.Cpu.Ceilings;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Tests.Cpu;

public sealed class CpuCeilingsTests
{
    [Fact]
    public void RatesAreThoseOfAProcessor()
    {
        CpuCeilings one = CpuCeilings.Measure(threads: 1);

        Assert.Equal(1, one.Threads);
        Assert.NotEmpty(one.Vectors);
        // Far below any processor with vectors, far above one without; and no work was left out by the compiler.
        Assert.InRange(one.ReadBytesPerSecond, 0.2e9, 1e12);
        Assert.InRange(one.FloatOperationsPerSecond, 0.5e9, 1e12);
        Assert.InRange(one.WordOperationsPerSecond, 0.5e9, 2e12);
        Assert.InRange(one.ByteOperationsPerSecond, 0.5e9, 4e12);
    }

    [Fact]
    public void WeightsAreComparedWithTheNumbersTheyAreMultipliedIn()
    {
        var ceilings = new CpuCeilings(1, "none", 1, 2, 3, 4);

        Assert.Equal(4, ceilings.OperationsPerSecond(WeightFormat.F32));
        Assert.Equal(4, ceilings.OperationsPerSecond(WeightFormat.BF16));
        Assert.Equal(3, ceilings.OperationsPerSecond(WeightFormat.Q8_0));
        Assert.Equal(2, ceilings.OperationsPerSecond(WeightFormat.Q4_0));
        Assert.Equal(2, ceilings.OperationsPerSecond(WeightFormat.Q6_K));
    }

    [Fact]
    public void NegativeThreadsAreRefused() => Assert.Throws<ArgumentOutOfRangeException>(() => CpuCeilings.Measure(-1));
}
