namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Work that falls into independent chunks. Jobs are structs of pointers and numbers: starting one allocates nothing.</summary>
internal interface IParallelJob
{
    /// <summary>Does one chunk.</summary>
    /// <param name="chunk">Which one.</param>
    /// <param name="worker">Who does it: 0 is the calling thread. A worker does one chunk at a time, so scratch memory goes by it.</param>
    void Run(int chunk, int worker);
}
