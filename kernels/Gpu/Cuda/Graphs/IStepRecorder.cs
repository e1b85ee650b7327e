namespace Llama3Cluster.Kernels.Gpu.Cuda.Graphs;

/// <summary>Records what a stream is given to do, and has it done again.</summary>
internal interface IStepRecorder
{
    /// <summary>From now on the stream records what this thread gives it, instead of doing it; false if it cannot.</summary>
    bool TryBegin();

    /// <summary>Ends the recording and makes it ready to be launched; 0 if not everything could be recorded.</summary>
    nint End();

    /// <summary>Enqueues a recording.</summary>
    /// <exception cref="InvalidOperationException">The driver refuses.</exception>
    void Launch(nint recording);

    /// <summary>Frees a recording that is no longer under way.</summary>
    void Destroy(nint recording);
}
