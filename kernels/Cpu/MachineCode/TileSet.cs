namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>The tiles of a format, as functions that the processor can run: one for each number of rows.</summary>
/// <remarks>They run for some microseconds at most, so the collector is not told of the calls.</remarks>
internal readonly unsafe struct TileSet(Func<int, byte[]> write, int mostRows)
{
    /// <summary>The tile of one, two, four, eight or sixteen rows; null beyond the most.</summary>
    public readonly delegate* unmanaged[SuppressGCTransition]<byte*, long, byte*, float*, long, long, void>
        One = Keep(write, 1, mostRows), Two = Keep(write, 2, mostRows), Four = Keep(write, 4, mostRows), Eight = Keep(write, 8, mostRows),
        Sixteen = Keep(write, 16, mostRows);

    private static delegate* unmanaged[SuppressGCTransition]<byte*, long, byte*, float*, long, long, void> Keep(
        Func<int, byte[]> write, int rows, int mostRows) =>
        rows > mostRows
            ? null
            : (delegate* unmanaged[SuppressGCTransition]<byte*, long, byte*, float*, long, long, void>)CodeMemory.Keep(write(rows));
}
