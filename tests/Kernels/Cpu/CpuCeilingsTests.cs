using Llama3Cluster.Kernels.Cpu.Ceilings;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Tests.Cpu;

public sealed class CpuCeilingsTests
{
    [Fact]
    public void Rates_must_be_those_of_a_processor()
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
    public void Weights_must_be_compared_with_the_numbers_they_are_multiplied_in()
    {
        var ceilings = new CpuCeilings(1, "none", 1, 2, 3, 4);

        Assert.Equal(4, ceilings.OperationsPerSecond(WeightFormat.F32));
        Assert.Equal(4, ceilings.OperationsPerSecond(WeightFormat.BF16));
        Assert.Equal(3, ceilings.OperationsPerSecond(WeightFormat.Q8_0));
        Assert.Equal(2, ceilings.OperationsPerSecond(WeightFormat.Q4_0));
        Assert.Equal(2, ceilings.OperationsPerSecond(WeightFormat.Q6_K));
    }

    [Theory]
    [InlineData("266240K\n", 266240L << 10)]
    [InlineData("32M", 32L << 20)]
    [InlineData("1G", 1L << 30)]
    [InlineData("4096", 4096)]
    [InlineData("", 0)]
    [InlineData("K", 0)]
    [InlineData("-1K", 0)]
    [InlineData("many", 0)]
    [InlineData("9223372036854775807K", 0)]
    public void Sizes_of_caches_must_be_read_as_the_system_writes_them(string text, long bytes) => Assert.Equal(bytes, CacheSize.Parse(text));

    [Fact]
    public void Negative_threads_must_be_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => CpuCeilings.Measure(-1));
}
