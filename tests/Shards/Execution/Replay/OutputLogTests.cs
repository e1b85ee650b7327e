using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution.Replay;

namespace Llama3Cluster.Shards.Tests.Execution.Replay;

public sealed class OutputLogTests
{
    private const int RowBytes = 8;
    private const int BlockBytes = RowBytes * KvShape.BlockSize;

    [Fact]
    public void It_must_take_no_more_than_its_budget_and_than_all_blocks_need()
    {
        using var small = new OutputLog(100, RowBytes, (3 * BlockBytes) + 1);
        using var large = new OutputLog(100, RowBytes, long.MaxValue);
        using var none = new OutputLog(100, RowBytes, 0);
        none.Write(5, 0, Row(1), mayEvict: true);

        Assert.Equal(3 * BlockBytes, small.ByteCount);
        Assert.Equal(100 * BlockBytes, large.ByteCount);
        Assert.Equal(0, none.ByteCount);
        Assert.False(none.Has(5, 0));
    }

    [Fact]
    public void It_must_have_exactly_the_rows_that_were_written()
    {
        using var log = new OutputLog(10, RowBytes, long.MaxValue);
        log.Write(3, 14, [.. Row(1), .. Row(2)], mayEvict: true);
        log.Write(3, 2, Row(3), mayEvict: true);

        Assert.Equal([2, 14, 15], Enumerable.Range(0, 16).Where(offset => log.Has(3, offset)));
        var found = new byte[2 * RowBytes];
        log.Read(3, 14, found);
        Assert.Equal([.. Row(1), .. Row(2)], found);

        log.Truncate(3, 15);
        Assert.True(log.Has(3, 14));
        Assert.False(log.Has(3, 15));
        log.Clear();
        Assert.False(log.Has(3, 2));
    }

    [Fact]
    public void The_longest_unused_block_must_give_way_and_only_where_it_may()
    {
        using var log = new OutputLog(10, RowBytes, 3 * BlockBytes);
        foreach (int block in (int[])[4, 5, 6])
            log.Write(block, 0, Row((byte)block), mayEvict: true);
        log.Write(4, 1, Row(4), mayEvict: true);
        log.Read(5, 0, new byte[RowBytes]);

        log.Write(7, 0, Row(7), mayEvict: false);
        Assert.Equal([4, 5, 6], Present(log));
        log.Write(7, 0, Row(7), mayEvict: true);
        Assert.Equal([4, 5, 7], Present(log));
        log.Write(8, 0, Row(8), mayEvict: true);
        Assert.Equal([5, 7, 8], Present(log));

        var found = new byte[RowBytes];
        log.Read(5, 0, found);
        Assert.Equal(Row(5), found);
    }

    private static int[] Present(OutputLog log) => [.. Enumerable.Range(0, 10).Where(block => log.Has(block, 0))];

    private static byte[] Row(byte value) => [.. Enumerable.Repeat(value, RowBytes)];
}
