using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>
/// A large block of memory, in huge pages where the system grants them on advice: weights are read from end to end at every token, and
/// with small pages a good part of that time goes into address translation.
/// </summary>
internal sealed unsafe partial class HugeMemory : IDisposable
{
    private const int HugePage = 2 * 1024 * 1024, CacheLine = 64;
    private const int AdviseHugePages = 14;

    private byte* _data;

    /// <summary>Allocates; the contents are undefined.</summary>
    public HugeMemory(long bytes)
    {
        Bytes = bytes;
        _data = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, (nuint)(bytes >= HugePage ? HugePage : CacheLine));

        // Without huge pages it works as well, only slower.
        if (OperatingSystem.IsLinux() && bytes >= HugePage)
            _ = Advise(_data, (nuint)bytes, AdviseHugePages);
    }

    ~HugeMemory() => Free();

    /// <summary>The first byte.</summary>
    public byte* Data => _data;

    /// <summary>The size.</summary>
    public long Bytes { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);

    private void Free()
    {
        NativeMemory.AlignedFree(_data);
        _data = null;
    }
}
