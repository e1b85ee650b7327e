using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Shards.Tests.Planning;

public class ByteSizeTests
{
    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(1023, "1023 bytes")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(96L << 20, "96.0 MiB")]
    [InlineData(1269L << 30, "1,269.0 GiB")]
    public void A_size_must_be_given_in_its_largest_binary_unit(long bytes, string expected) => Assert.Equal(expected, ByteSize.Format(bytes));
}
