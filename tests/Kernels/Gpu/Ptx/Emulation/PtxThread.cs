namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>Why a thread does not go on by itself.</summary>
internal enum PtxStop
{
    /// <summary>It has returned.</summary>
    Returned,

    /// <summary>It waits for its warp at an instruction that lanes execute together.</summary>
    Warp,

    /// <summary>It waits for its group at a barrier.</summary>
    Group,
}

/// <summary>A thread of the emulated group: its registers, where it is, and its asynchronous copies.</summary>
internal sealed class PtxThread(int index, int registers)
{
    private readonly List<List<(uint Shared, byte[] Bytes)>> _batches = [[]];

    public int Index => index;

    public ulong[] Registers { get; } = new ulong[registers];

    public int Next { get; set; }

    public PtxStop? Stop { get; set; }

    /// <summary>Notes a copy: what it reads is read now, and arrives no sooner than the thread waits for it.</summary>
    public void BeginCopy(uint shared, byte[] bytes) => _batches[^1].Add((shared, bytes));

    public void CommitCopies() => _batches.Add([]);

    /// <summary>Lets all but the latest committed batches arrive.</summary>
    public void WaitForCopies(int underWay, Span<byte> memory)
    {
        while (_batches.Count - 1 > underWay)
        {
            foreach ((uint shared, byte[] bytes) in _batches[0])
                bytes.CopyTo(memory[(int)shared..]);
            _batches.RemoveAt(0);
        }
    }
}
